"""Avro bodies as JSON documents, by a schema that was read once. No schema and no body may cost more than its size."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Context, Decimal
from typing import Any

import fastavro
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException, UnknownType

SCHEMA_DEPTH = 50
MOST_PARTS = 10_000
"""Of a schema, each type as often as it is named: a body has all of them, and those that take no bytes in no bytes."""

DECIMAL_BYTES = 128
"""A larger one is no measurement, and making a number of a megabyte takes minutes."""

WHOLE_NUMBERS = range(-(2**63), 2**64)
_DAMAGE = (
    *(EOFError, ValueError, LookupError, TypeError, OverflowError, ArithmeticError),
    *(RecursionError, AssertionError, AttributeError, MemoryError, StopIteration),
)

ReadAvro = Callable[[bytes], Any]


def _read_decimal(
    data: Any, schema: Mapping[str, Any] | None = None, _reader_schema: object = None
) -> Decimal:
    if len(data) > DECIMAL_BYTES:
        raise ValueError("a decimal is too large")
    return Decimal(int.from_bytes(data, signed=True)).scaleb(-int((schema or {}).get("scale") or 0), _EXACT)


_EXACT = Context(prec=400)
# For all of the process, and nothing else of it reads Avro: there is no other place to say so.
LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _read_decimal


def compile_schema(text: str, references: Sequence[str] = ()) -> ReadAvro:
    """What reads a body by the schema in `text`, which may name those in `references`; ValueError says why none."""
    try:
        named: dict[str, Any] = {}
        for each in references:
            fastavro.parse_schema(json.loads(each), named_schemas=named)
        schema = json.loads(text)
        parsed = fastavro.parse_schema(schema, named_schemas=named)
        trouble = _find_trouble(parsed, named, (), iter(range(MOST_PARTS)))
    except (SchemaParseException, UnknownType, *_DAMAGE) as error:
        raise ValueError(f"its schema can't be read ({type(error).__name__})") from None
    if trouble:
        raise ValueError(trouble)

    def read(body: bytes) -> Any:
        stream = io.BytesIO(body)
        try:
            value = fastavro.schemaless_reader(stream, parsed, None)
        except _DAMAGE as error:
            raise ValueError(f"it is not what its schema says ({type(error).__name__})") from None
        if stream.read(1):
            raise ValueError("more follows after its end")
        return make_jsonable(value)

    return read


def make_jsonable(value: Any) -> Any:
    """`value` as JSON has it: bytes as base64, times as ISO 8601, numbers that JSON has not as text or null."""
    if isinstance(value, Mapping):
        return {str(name): make_jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [make_jsonable(inner) for inner in value]
    return value if value is None or isinstance(value, bool | str) else _make_plain(value)


def _make_plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and value in WHOLE_NUMBERS else str(value)


def _find_trouble(
    schema: Any, named: Mapping[str, Any], within: tuple[str, ...], left: Iterator[int]
) -> str | None:
    """Why a body may be deeper or larger than its bytes: types within themselves, items that take none.

    The first would end this process: fastavro reads them on the stack of C.
    """
    if len(within) > SCHEMA_DEPTH:
        return "its schema is nested too deeply"
    if isinstance(schema, str) and schema in within:
        return "its schema has a type within itself, which is not read here"
    if next(left, None) is None:
        return f"its schema has more than {MOST_PARTS:,} parts"
    inner = (*within, str(schema.get("name") or "") if isinstance(schema, dict) else "")
    troubles = (_find_trouble(each, named, inner, left) for each in _list_parts(schema, named))
    if trouble := next(filter(None, troubles), None):
        return trouble
    if isinstance(schema, dict) and schema.get("type") == "array" and not _has_bytes(schema["items"], named):
        return "its schema has lists of what takes no bytes, which may be of any length"
    return None


def _list_parts(schema: Any, named: Mapping[str, Any]) -> list[Any]:
    """The schemas that a schema is made of."""
    if isinstance(schema, str):
        return [named[schema]] if schema in named else []
    if isinstance(schema, list):
        return schema
    kind = schema.get("type")
    if kind in {"array", "map"}:
        return [schema.get("items", schema.get("values"))]
    if kind in {"record", "error"}:
        return [field["type"] for field in schema.get("fields", ())]
    return [] if isinstance(kind, str) else [kind]


def _has_bytes(schema: Any, named: Mapping[str, Any]) -> bool:
    """Whether each value takes a byte at least."""
    if isinstance(schema, str):
        return _has_bytes(named[schema], named) if schema in named else schema != "null"
    if isinstance(schema, list):
        return True
    kind = schema.get("type")
    if kind in {"record", "error"}:
        return any(_has_bytes(field["type"], named) for field in schema.get("fields", ()))
    if kind == "fixed":
        return bool(schema.get("size"))
    return kind != "null" if isinstance(kind, str) else _has_bytes(kind, named)
