"""The addresses in every provider's config: behind which of them paths are put, and what those may not have then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from shared.provider import Identity, find_provider, list_types, load_provider
from shared.provider.fields import check_url
from shared.runtime.errors import InvalidConfig
from tests.contract.configs import read_config

WHOLE = {("graphql", "endpoint"), ("http", "poll_url"), ("kafka", "oauth_token_url"), ("webhook", "url")}
"""Those that requests go to as they stand."""


def list_addresses() -> Iterator[tuple[str, str]]:
    for name in list_types():
        for key, field in find_provider(name).model_fields.items():
            if is_address([field.annotation, *field.metadata]):
                yield name, key


def is_address(parts: list[Any]) -> bool:
    """Whether `check_url` is anywhere in a field's type."""
    return any(getattr(part, "func", None) is check_url or is_address(list(get_args(part))) for part in parts)


BASES = sorted(set(list_addresses()) - WHOLE)


def find_errors(name: str, key: str, value: str) -> list[str]:
    with pytest.raises(InvalidConfig) as refused:
        load_provider(read_config(name) | {key: value}, Identity("o", "i", name, "Addresses"))
    return [error.message for error in refused.value.errors or [] if error.field == key]


def test_no_address_is_overlooked() -> None:
    assert {*list_addresses()} >= WHOLE
    assert {name for name, key in BASES if key == "base_url"} >= {"azure_iot", "golioth", "particle", "slack"}


@pytest.mark.parametrize(("name", "key"), BASES)
@pytest.mark.parametrize(
    ("rest", "word"), [("?key=abc", "query"), ("/v1?", "query"), ("#top", "fragment"), ("/#", "fragment")]
)
def test_behind_a_query_or_a_fragment_no_path_is_put(name: str, key: str, rest: str, word: str) -> None:
    (told,) = find_errors(name, key, f"https://api.example.com{rest}")

    assert word in told
    assert "abc" not in told
