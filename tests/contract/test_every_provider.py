"""What holds for every provider there is; a new file in shared/providers is covered by being there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from shared.provider import (
    MIXINS,
    Event,
    Identity,
    Provider,
    Subscriber,
    find_provider,
    list_types,
    load_provider,
    name_secrets,
    require,
    split_config,
)
from shared.runtime.errors import InvalidConfig, NotSupported
from shared.runtime.sentences import MOST_ERRORS
from tests.contract.configs import read_config

IDENTITY = Identity(
    "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002", "", "Contract"
)
TYPES = list_types()
EVENT = Event("e", "device.telemetry", "telemetry", "2026-01-01T00:00:00+00:00", "o", IDENTITY)


def identify(integration_type: str) -> Identity:
    return Identity(IDENTITY.organization_id, IDENTITY.integration_id, integration_type, IDENTITY.name)


def load(integration_type: str) -> Provider:
    return load_provider(read_config(integration_type), identify(integration_type))


@pytest.mark.parametrize("name", TYPES)
def test_it_is_one_class_that_tells_what_it_is(name: str) -> None:
    provider = find_provider(name)

    assert provider.label
    assert provider.docs.endswith(".")
    assert provider.__doc__


@pytest.mark.parametrize("name", TYPES)
def test_its_sample_config_is_valid_and_survives_being_stored(name: str) -> None:
    provider = load(name)

    settings, secrets = split_config(provider)
    stored = json.loads(json.dumps(settings))

    assert split_config(load_provider(stored | secrets | _join(stored, secrets), identify(name))) == (
        settings,
        secrets,
    )


def _join(settings: dict[str, Any], secrets: dict[str, Any]) -> dict[str, Any]:
    both = settings.keys() & secrets.keys()
    return {key: settings[key] | secrets[key] for key in both}


@pytest.mark.parametrize("name", TYPES)
def test_what_it_sends_is_bound_to_one_place_whether_its_config_is_stored_or_read(name: str) -> None:
    provider = load(name)

    settings, secrets = split_config(provider)

    sent = [secret for secret in secrets if not provider.is_kept(secret)]
    assert not sent or (
        provider.locate(settings) == provider.locate(vars(provider)) and provider.locate(settings)
    )


@pytest.mark.parametrize("name", TYPES)
def test_another_place_in_its_config_is_another_place_for_its_secrets(name: str) -> None:
    settings, _ = split_config(load(name))

    for field, value in settings.items():
        if not isinstance(value, str) or "://" not in value:
            continue
        scheme, host = value.partition(":")[0], str(urlsplit(value).hostname)
        plain = value.replace(f"{scheme}:", f"{scheme.removesuffix('s')}:")
        moved = [
            value.replace(host, text) for text in (f"{host}.example.org", f"other.{host}", "203.0.113.9")
        ]
        texts = (value, plain, *moved)
        places = {find_provider(name).locate(settings | {field: text}) for text in texts}
        assert len(places) == len(texts), field


@pytest.mark.parametrize("name", TYPES)
def test_what_it_keeps_is_a_secret_and_in_no_request(name: str) -> None:
    provider = load(name)
    _, secrets = split_config(provider)

    kept = {secret: value for secret, value in secrets.items() if provider.is_kept(secret)}

    assert all("SecretStr" in str(type(provider).model_fields[secret].annotation) for secret in kept)
    request = repr(provider.deliver(EVENT)) if isinstance(provider, Subscriber) else ""
    assert not [secret for secret, value in kept.items() if str(value) in request]


@pytest.mark.parametrize("name", TYPES)
def test_its_schema_marks_every_secret_write_only(name: str) -> None:
    provider = find_provider(name)
    secret_fields = [
        key for key, field in provider.model_fields.items() if "SecretStr" in str(field.annotation)
    ]

    schema = json.dumps(provider.model_json_schema())

    assert schema.count('"writeOnly": true') >= len(secret_fields)


@pytest.mark.parametrize("name", TYPES)
def test_no_number_may_be_given_as_true(name: str) -> None:
    fields = find_provider(name).model_json_schema()["properties"]
    numbers = {key for key, schema in fields.items() if re.search("'(integer|number)'", str(schema))}

    with pytest.raises(InvalidConfig) as refusal:
        load_provider(
            read_config(name)
            | {key: [True] if fields[key].get("type") == "array" else True for key in numbers}
            | {"surprise": "so that something is refused in any case"},
            identify(name),
        )

    assert {error.field.split(".")[0] for error in refusal.value.errors} == numbers | {"surprise"}


@pytest.mark.parametrize("name", TYPES)
def test_no_value_is_taken_that_is_of_another_type_than_its_schema_says(name: str) -> None:
    schema = find_provider(name).model_json_schema()

    for field, written in schema["properties"].items():
        # What is only read is made anew, whatever is given.
        taken = set() if written.get("readOnly") else list_json_types(written, schema.get("$defs", {}))
        default = written.get("default")
        others = [
            True,
            False,
            0,
            1,
            1.5,
            60,
            86_400,
            "0",
            "1",
            "1.5",
            "60",
            "86400",
            "true",
            "off",
            str(default),
            [],
            {},
        ]
        for value in others if taken else ():
            if not taken & JSON_TYPES[type(value)]:
                refusal = find_refusal(name, {field: value})
                assert refusal, (field, value)
                assert field in {error.field for error in refusal.errors}, (field, value)


JSON_TYPES = {
    bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, str: {"string"}, list: {"array"}, dict: {"object"}
}  # fmt: skip


def list_json_types(written: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """The types that a schema takes; empty for any."""
    if "$ref" in written:
        return list_json_types(definitions[written["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in written:
        return {each for inner in written["anyOf"] for each in list_json_types(inner, definitions)}
    return {written["type"]} if "type" in written else set()


@pytest.mark.parametrize("name", TYPES)
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_provider(read_config(name) | {"surprise": "canary-value"}, identify(name))

    assert [error.field for error in refusal.value.errors] == ["surprise"]
    assert "canary" not in repr(refusal.value.errors)


@pytest.mark.parametrize("name", TYPES)
def test_an_empty_config_is_refused_and_not_a_crash(name: str) -> None:
    with pytest.raises(InvalidConfig):
        load_provider({}, identify(name))


def wrong_values() -> Iterator[Any]:
    yield from (7, -1, True, [], {}, "", " ", "\x00", "x" * 100_000, ["a", {}], {"a": {"b": None}}, 1e308)


@pytest.mark.parametrize("name", TYPES)
def test_no_value_of_any_field_crashes_validation_or_is_echoed(name: str) -> None:
    refusals = [
        find_refusal(name, {field: value})
        for field in find_provider(name).model_fields
        for value in (*wrong_values(), {"canary-value": "canary-value"}, ["canary-value"])
    ]

    messages = [error.message for refusal in refusals if refusal for error in refusal.errors]
    assert messages
    assert not [message for message in messages if "canary-value" in message]


def find_refusal(name: str, wrong: dict[str, Any]) -> InvalidConfig | None:
    try:
        load_provider(read_config(name) | wrong, identify(name))
    except InvalidConfig as refusal:
        return refusal
    return None


@pytest.mark.parametrize("name", TYPES)
def test_no_secret_shows_in_what_a_provider_prints(name: str) -> None:
    provider = load(name)

    shown = f"{provider!r} {provider} {provider.model_dump_json()} {provider.identity!r}"

    assert provider.secret_values
    assert not [value for value in provider.secret_values if value in shown]


@pytest.mark.parametrize("name", TYPES)
def test_every_secret_has_a_name_that_can_be_shown(name: str) -> None:
    provider = load(name)

    names = name_secrets(split_config(provider)[1])

    assert names == sorted(set(names))
    set_secrets = [
        key for key in type(provider).model_fields if isinstance(getattr(provider, key), SecretStr)
    ]
    assert set(set_secrets) <= set(names)


@pytest.mark.parametrize("name", TYPES)
def test_what_it_can_not_do_refuses_clearly(name: str) -> None:
    provider = load(name)
    missing = [mixin for mixin in MIXINS if mixin.capability not in provider.capabilities()]

    assert missing
    for mixin in missing:
        assert not hasattr(provider, mixin.capability)
        with pytest.raises(NotSupported, match=f"^{provider.label} integrations have no {mixin.lacking}"):
            require(provider, mixin)


HOSTILE: dict[str, Any] = {
    "brackets": "[" * 250_000,
    "levels": "a/" * 100_000 + "a",
    "letters": "\u00e9" * 100_000,
    "texts": ["a"] * 60_000,
    "names": {str(number): "a" for number in range(20_000)},
    "number": 10**400,
}
"""What whoever may write settings can write there past the API."""


@pytest.mark.parametrize("name", TYPES)
def test_any_value_of_any_field_is_taken_or_refused_in_few_words(name: str) -> None:
    config = read_config(name)

    told = {
        (field, what): _count_errors(name, {**config, field: value})
        for field in find_provider(name).model_fields
        for what, value in HOSTILE.items()
    }

    assert {place: count for place, count in told.items() if count > MOST_ERRORS} == {}


def _count_errors(name: str, config: dict[str, Any]) -> int:
    try:
        load_provider(config, identify(name))
    except InvalidConfig as refusal:
        return len(refusal.errors)
    return 0


@pytest.mark.parametrize("name", TYPES)
def test_a_config_of_countless_fields_is_refused_in_one_word(name: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_provider({str(number): number for number in range(20_000)}, identify(name))

    assert [error.field for error in refusal.value.errors] == ["config"]
