"""What every provider's form says of itself is complete, and is what its validators say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from shared.provider import Identity, find_provider, list_types, load_provider
from shared.runtime.errors import InvalidConfig
from tests.contract.configs import read_config

TYPES = list_types()
SECRET = "sample-of-a-secret"


def read_schema(name: str) -> dict[str, Any]:
    return find_provider(name).model_json_schema()


@pytest.mark.parametrize("name", TYPES)
def test_each_field_is_in_one_group_and_the_first_is_open(name: str) -> None:
    schema = read_schema(name)

    named = [field for group in schema["x-groups"] for field in group["fields"]]

    assert sorted(named) == sorted(schema["properties"])
    assert schema["x-groups"][0]["open"]
    titles = [group["title"] for group in schema["x-groups"]]
    assert len({*titles}) == len(titles)


@pytest.mark.parametrize("name", TYPES)
def test_every_group_that_is_declared_names_fields_that_are_there(name: str) -> None:
    provider = find_provider(name)

    declared = {
        field for each in provider.__mro__ for group in getattr(each, "groups", ()) for field in group.fields
    }

    assert declared <= provider.model_fields.keys()


@pytest.mark.parametrize("name", TYPES)
def test_required_fields_are_in_open_groups(name: str) -> None:
    schema = read_schema(name)

    shown = {field for group in schema["x-groups"] if group["open"] for field in group["fields"]}

    assert set(schema.get("required", ())) <= shown


@pytest.mark.parametrize("name", TYPES)
def test_each_field_has_a_title_for_people_and_a_description(name: str) -> None:
    for field, written in read_schema(name)["properties"].items():
        assert re.fullmatch(r"[A-Z][^_]*", written["title"]), field
        assert written.get("description", "").rstrip().endswith("."), field


@pytest.mark.parametrize("name", TYPES)
def test_labels_are_words_for_each_value_of_an_enum(name: str) -> None:
    for field, written in read_schema(name)["properties"].items():
        if "x-labels" in written:
            assert {*written["x-labels"]} == {str(value) for value in list_choices(written)}, field


@pytest.mark.parametrize("name", TYPES)
def test_a_text_of_several_lines_is_known_as_one(name: str) -> None:
    properties = read_schema(name)["properties"]

    for field, value in read_config(name).items():
        is_pem = isinstance(value, str) and "-----BEGIN " in value
        assert (properties[field].get("contentMediaType") == "application/x-pem-file") == is_pem, field


@pytest.mark.parametrize("name", TYPES)
def test_an_example_is_a_value_that_the_field_takes(name: str) -> None:
    for field, written in read_schema(name)["properties"].items():
        for example in written.get("examples", ()):
            wrong = find_wrong(name, read_config(name) | {field: example})
            assert not [each for each in wrong if each.split(".")[0] == field and "x-when" not in written], (
                field
            )


@pytest.mark.parametrize("name", TYPES)
def test_a_field_counts_where_its_condition_holds_and_is_refused_elsewhere(name: str) -> None:
    schema = read_schema(name)

    for field, conditions in list_conditions(schema):
        judged = {judge(name, field, settings) for settings in list_settings(name, conditions)}

        assert judged == {("shown", "taken"), ("hidden", "refused")}, field


def list_conditions(schema: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """The fields that are not always shown, with the conditions of their group and their own."""
    for group in schema["x-groups"]:
        for field in group["fields"]:
            own = (schema["properties"][field].get("x-when"), group.get("when"))
            if conditions := [condition for condition in own if condition]:
                yield field, conditions


def list_settings(name: str, conditions: list[Any]) -> Iterator[dict[str, Any]]:
    """What the fields that the conditions are about may be set to, in each combination; null for not set."""
    properties, sample = read_schema(name)["properties"], read_config(name)
    fields = sorted({field for condition in conditions for field in list_fields(condition)})
    values = [[*dict.fromkeys(list_values(properties[field], sample.get(field)))] for field in fields]
    for chosen in product(*values):
        yield dict(zip(fields, chosen, strict=True))


def list_values(written: dict[str, Any], sample: Any) -> Iterator[Any]:
    yield from list_choices(written)
    yield from written.get("examples", ())
    if "default" in written:
        yield written["default"]
    if "'boolean'" in str(written):
        yield from (True, False)
    if sample is not None:
        yield sample
    elif "'string'" in str(written) and not list_choices(written):
        yield "sample"


def list_choices(written: dict[str, Any]) -> list[Any]:
    kinds = (written, *written.get("anyOf", ()))
    return [value for kind in kinds for value in kind.get("enum", ())]


def list_fields(condition: Mapping[str, Any]) -> Iterator[str]:
    yield from condition.get("properties", ())
    for inner in condition.get("anyOf", ()):
        yield from list_fields(inner)


def judge(name: str, field: str, settings: dict[str, Any]) -> tuple[str, str]:
    """Whether the form shows the field with these settings, and whether the provider takes a value of it."""
    schema = read_schema(name)
    known = {key: written.get("default") for key, written in schema["properties"].items()}
    seen = known | {key: value for key, value in read_config(name).items() if key not in settings} | settings
    hidden = {key for key, needed in list_conditions(schema) if not all(holds(each, seen) for each in needed)}
    kept = {key: value for key, value in seen.items() if key not in hidden and value is not None}
    config = {key: value for key, value in kept.items() if key in settings or key in read_config(name)}
    wrong = find_wrong(name, config | {field: choose_value(name, field)})
    return "hidden" if field in hidden else "shown", "refused" if field in wrong else "taken"


def choose_value(name: str, field: str) -> Any:
    written = read_schema(name)["properties"][field]
    values = [read_config(name).get(field), *written.get("examples", ()), *list_choices(written), SECRET]
    return next(value for value in values if value is not None)


def find_wrong(name: str, config: dict[str, Any]) -> list[str]:
    try:
        load_provider(config, Identity("", "", name))
    except InvalidConfig as refusal:
        return [error.field for error in refusal.errors]
    return []


def holds(condition: Mapping[str, Any], value: Any) -> bool:
    """Whether a value is as the condition wants it: the part of JSON Schema that conditions may use, and no more."""
    ((keyword, wanted),) = condition.items()
    if keyword == "properties":
        return all(holds(inner, value.get(name)) for name, inner in wanted.items())
    if keyword == "anyOf":
        return any(holds(inner, value) for inner in wanted)
    if keyword == "not":
        return not holds(wanted, value)
    if keyword == "pattern":
        return isinstance(value, str) and re.search(wanted, value) is not None
    return bool(value in wanted if keyword == "enum" else value == wanted)
