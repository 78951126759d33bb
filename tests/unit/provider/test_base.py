"""The base of all providers: what is a secret, what is stored, what a patch does."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from shared.provider import (
    Checker,
    Identity,
    Provider,
    make_provider,
    merge_config,
    name_secrets,
    patch_config,
    require,
    split_config,
)
from shared.runtime.errors import InvalidConfig, NotSupported

IDENTITY = Identity("o", "i", "sample")


class Sample(Provider):
    """A provider with every kind of field."""

    label: ClassVar[str] = "Sample"
    docs: ClassVar[str] = "For tests."
    replaced_whole: ClassVar[frozenset[str]] = frozenset({"document"})

    url: str
    port: int = 1883
    password: SecretStr | None = None
    headers: dict[str, str | SecretStr] = Field(default_factory=dict)
    document: Any = None


def make(**config: Any) -> Provider:
    return make_provider(Sample, config, IDENTITY)


def test_only_what_was_set_is_stored_and_secrets_go_apart() -> None:
    provider = make(url="u", password="hidden", headers={"X-Plain": "a", "X-Token": SecretStr("b")})

    settings, secrets = split_config(provider)

    assert settings == {"url": "u", "headers": {"X-Plain": "a"}}
    assert secrets == {"password": "hidden", "headers": {"X-Token": "b"}}
    assert name_secrets(secrets) == ["headers.X-Token", "password"]


def test_what_was_split_joins_again() -> None:
    config = {"url": "u", "port": 8883, "password": "hidden"}

    settings, secrets = split_config(make(**config))

    assert merge_config(settings, secrets) == config


def test_a_wrong_field_is_named_and_its_value_is_not() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make(url="u", port="canary-value", surprise="canary-value")

    assert [error.field for error in refusal.value.errors] == ["port", "surprise"]
    assert "canary" not in str(refusal.value.errors)


def test_a_capability_that_is_not_written_refuses_by_name() -> None:
    with pytest.raises(NotSupported, match="Sample integrations have no connection test"):
        require(make(url="u"), Checker)

    assert Sample.capabilities() == []


def test_secrets_are_masked_wherever_they_stand() -> None:
    provider = make(url="u", password="hidden-value", headers={"X-Token": SecretStr("other-value")})

    assert provider.mask_text("a hidden-value and other-value") == "a *** and ***"


def test_a_patch_replaces_a_document_whole_and_merges_everything_else() -> None:
    base = {"url": "u", "headers": {"a": "1"}, "document": {"old": 1}}

    patched = patch_config(Sample, base, {"headers": {"b": "2"}, "document": {"new": None}})

    assert patched == {"url": "u", "headers": {"a": "1", "b": "2"}, "document": {"new": None}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values), st.dictionaries(st.text(), json_values))
def test_a_merge_patch_follows_rfc_7396(base: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge_config(base, patch)

    assert merge_config(merged, patch) == merged
    assert all(name not in merged for name, value in patch.items() if value is None)
    assert all(merged[name] == base[name] for name in base if name not in patch)
