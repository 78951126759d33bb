"""JSON with whole numbers of any size: orjson reads those beyond 64 bits as inexact floats, and refuses to write them.

Card numbers, ICCIDs and serial numbers are such. Both ways cost what orjson costs as long as there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import orjson

SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""What orjson writes."""

_LONG = b"0" * 19
"""The shortest whole number beyond 64 bits has as many digits."""

_LEAST = len(_LONG)
_ZEROES = bytes(ord("0") if chr(code).isdecimal() else code for code in range(128)) + bytes(range(128, 256))


def read_json(body: bytes) -> Any:
    """The document in `body`. orjson.JSONDecodeError where it is not JSON in UTF-8."""
    document = orjson.loads(body)
    if len(body) < _LEAST or _LONG not in body.translate(_ZEROES):
        return document
    try:
        return json.loads(body.decode())
    except RecursionError:
        # Whoever reads such nesting refuses it.
        return document


def write_json(value: Any, option: int | None = None) -> bytes:
    """`value`, which may hold dataclasses and datetimes, as compact JSON in UTF-8; `option` is orjson's.

    TypeError where it can't be written.
    """
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        try:
            return orjson.dumps(_spell_out(value), option=option)
        except RecursionError:
            raise TypeError("nested too deeply to be written") from None


def _spell_out(value: Any) -> Any:
    """`value` with those whole numbers that orjson does not write as the digits they are made of."""
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return {name: _spell_out(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_out(inner) for inner in value]
    if is_dataclass(value):
        return {field.name: _spell_out(getattr(value, field.name)) for field in fields(value)}
    return value
