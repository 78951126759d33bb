"""Numbers in JSON: `true` is none, though Python counts it as 1, nor is a text of digits; 5.0 is the integer 5."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BeforeValidator

NUMBERS = frozenset((int, float))
TIMES = frozenset((datetime, AwareDatetime))
TIME = "Write a time with its offset, as 2026-11-29T13:14:15Z."

_AS_TEXT = re.compile(r"\s*[+-]?[0-9]*\.?[0-9]*\s*")


def refuse_truth(value: Any) -> Any:
    """`value` itself; ValueError for true and false."""
    if isinstance(value, bool):
        raise ValueError("write a number, not true or false")  # noqa: TRY004 - pydantic takes no TypeError
    return value


def refuse_number(value: Any) -> Any:
    """ValueError for what is no time as JSON Schema writes one, though pydantic counts the seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and _AS_TEXT.fullmatch(value)):
        raise ValueError(TIME)
    return value


@cache
def list_types(annotation: Any) -> frozenset[Any]:
    """The types that a value of it may have, each for itself; of a Literal those of its values."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return frozenset(map(type, parts))
    if origin is Annotated:
        return list_types(parts[0])
    if origin in {Union, UnionType}:
        return frozenset().union(*map(list_types, parts))
    return frozenset((annotation,))


def refuse_conversion(value: bool | float | str, types: frozenset[Any]) -> None:  # noqa: FBT001 - any of JSON
    """ValueError where a value is of none of the types, and pydantic would make one of it, which no schema says."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if types & NUMBERS and bool not in types:
        refuse_truth(value)
        if isinstance(value, str) and str not in types:
            raise ValueError("write a number, without quotes around it")
    if bool in types and not isinstance(value, bool) and not types & {str, *(NUMBERS if is_number else ())}:
        raise ValueError("write true or false, without quotes around it")
    if types & TIMES:
        refuse_number(value)


Whole = Annotated[int, BeforeValidator(refuse_truth)]
"""An integer in a body."""
