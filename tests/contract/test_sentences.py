"""What is said of a wrong value is a sentence for people, whichever field of whichever type it stands in."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provider import Identity, find_provider, list_types
from shared.provider.catalogue import load_safe_provider
from shared.runtime.errors import FieldError, InvalidConfig
from tests.contract.configs import read_config

TYPES = list_types()
JARGON = re.compile(
    r"Input |\binput\b|\bvalid (?:string|number|integer|boolean|tuple|dict|list|datetime|UUID)|[Tt]uple|dictionar|"
    r"instance of|should (?:be|have|match)|unable to|\bparse|None\b|NoneType|SecretStr|[Pp]ydantic|Value error|In it:|"
    r"\^\[|\\x|\\s|\]\+\$|<class|Literal|\bnan\b"
)
"""The words of the library, of Python and of regular expressions."""

WRONG: tuple[Any, ...] = (
    *(7, -1, 1.5, 1e308, 2**80, -(2**80), math.inf, math.nan, True, False),
    *("", " ", "x", "\x00", "-", "12", "true", "2026-01-01", "12:00", "{{ x }}", "x" * 100_000),
    *([], [None], [1], [""], [[]], ["a", {}], ["\x00"], ["devices/+"] * 2, ["a"] * 300),
    *(
        {},
        {"a": {"b": None}},
        {"X-Name": 1},
        {"bad name": "a"},
        {"external_ids": 3},
        {"external_ids": [1, ""]},
    ),
    *({"ids": ["x"]}, {"device_types": ["\x00"]}, {"names": ["a"]}),
)


def list_wrong(name: str, field: str, value: Any) -> list[FieldError]:
    try:
        load_safe_provider(read_config(name) | {field: value}, Identity("", "", name))
    except InvalidConfig as refusal:
        return refusal.errors
    return []


def object_to(name: str, errors: list[FieldError]) -> list[FieldError]:
    """Those that name no field of the form, or that a person could not read."""
    fields = {*find_provider(name).model_fields, "config"}
    return [
        error
        for error in errors
        if error.field.split(".")[0] not in fields
        or re.search(r"\[|\(|\bfunction\b|\bstr\b|\btuple\b", error.field)
        or JARGON.search(error.message)
        or "\n" in error.message
        or len(error.message.split()) < 3
    ]


@pytest.mark.parametrize("name", TYPES)
def test_no_field_of_any_type_answers_a_wrong_value_in_the_words_of_a_library(name: str) -> None:
    errors = {
        field: [error for value in WRONG for error in list_wrong(name, field, value)]
        for field in find_provider(name).model_fields
    }

    assert {field: wrong for field, each in errors.items() if (wrong := object_to(name, each))} == {}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=60)
@given(value=JSON)
def test_no_value_at_all_is_answered_so(name: str, value: Any) -> None:
    for field in find_provider(name).model_fields:
        assert object_to(name, list_wrong(name, field, value)) == [], field


@pytest.mark.parametrize("name", TYPES)
def test_what_is_missing_is_said_at_each_field_that_is_required(name: str) -> None:
    required = {field for field, each in find_provider(name).model_fields.items() if each.is_required()}

    with pytest.raises(InvalidConfig) as refusal:
        load_safe_provider({}, Identity("", "", name))

    told = {error.field: error.message for error in refusal.value.errors}
    assert {field: told.get(field) for field in required} == dict.fromkeys(required, "Fill this in.")
