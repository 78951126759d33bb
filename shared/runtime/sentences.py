"""What is wrong with a value, for people: by the type of pydantic's error, a sentence that says what to do instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from shared.runtime.numbers import TIME

MOST_ERRORS = 200
TOO_MANY = "More of its values are wrong than can be told; see the description of the fields."
"""What is said of more: to list a hundred thousand takes seconds, and they are everybody's."""

ELSE = "This can't be used here; see the description of the field."

_NUMBER, _WHOLE = "Write a number.", "Write a whole number."
_SWITCH, _LIST, _OBJECT = "Choose true or false.", "Give a list.", "Give an object of names and values."
_ID = "Write an id as it is shown elsewhere: a UUID, as 1b4e28ba-2fa1-41d2-883f-0016d3cca427."

SENTENCES: Mapping[str, str] = {
    "missing": "Fill this in.",
    "extra_forbidden": "There is no such field; leave it out.",
    "string_type": "Write a text.",
    "string_unicode": "It has characters that can't be stored; write them anew.",
    "string_too_short": "Write at least {min_length} characters.",
    "string_too_long": "Write at most {max_length} characters.",
    "too_short": "List at least {min_length}.",
    "too_long": "List at most {max_length}.",
    "literal_error": "Choose one of: {expected}.",
    "enum": "Choose one of: {expected}.",
    "greater_than": "Write more than {gt}.",
    "greater_than_equal": "Write {ge} or more.",
    "less_than": "Write less than {lt}.",
    "less_than_equal": "Write {le} or less.",
    "finite_number": "Write a finite number.",
    "int_parsing_size": "Write a smaller number.",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _SWITCH),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _OBJECT),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), TIME),
    **dict.fromkeys(("datetime_object_invalid", "timezone_naive", "timezone_aware"), TIME),
    **dict.fromkeys(("uuid_type", "uuid_parsing", "uuid_version"), _ID),
}

_CLASS = re.compile(r"\^(?:\[[^\]]*\])?\[(A-Z)?(a-z)?(0-9)?([^]^\\]*)\](?:[+*]|\{[0-9,]+\})\$")
"""A pattern of characters that are allowed; letters of either case, digits, marks."""


def list_details(error: ValidationError) -> list[ErrorDetails]:
    """Each of its errors, without the value; of more than `MOST_ERRORS` one for all."""
    if error.error_count() > MOST_ERRORS:
        return [{"type": "value_error", "loc": (), "msg": TOO_MANY, "input": None}]
    return error.errors(include_url=False, include_input=False)


def name_wrong(error: ValidationError, whole: str) -> str:
    """The dotted paths of what is wrong, with commas between; `whole` is the name of all of it."""
    paths = {".".join(map(str, item["loc"])) or whole for item in list_details(error)}
    return ", ".join(sorted(paths))


def explain_error(item: ErrorDetails) -> str:
    """The sentence for one error. What a validator of ours has said stays as it is; no value is repeated."""
    kind, context = item["type"], item.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "string_pattern_mismatch":
        return _explain_pattern(str(context["pattern"]))
    if kind in {"string_too_short", "too_short"} and context["min_length"] == 1:
        kind = "missing"
    return SENTENCES.get(kind, ELSE).format_map({name: _show(value) for name, value in context.items()})


def _explain_pattern(pattern: str) -> str:
    allowed = _CLASS.fullmatch(pattern)
    if allowed is None:
        spaces = "spaces, " if pattern.startswith(r"^[^\s") else ""
        return f"Write visible characters, without {spaces}line breaks and control characters."
    upper, lower, digits, marks = allowed.groups()
    letters = {(True, True): "letters", (True, False): "capital letters", (False, True): "small letters"}
    kinds = (letters.get((bool(upper), bool(lower))), digits and "digits", marks and " ".join(marks))
    *before, last = filter(None, kinds)
    return f"Use {' and '.join(filter(None, (', '.join(before), last)))} only."


def _show(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("'", "").replace(" or ", ", ")
