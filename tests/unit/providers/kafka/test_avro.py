"""Avro: what a schema says of a body, as JSON; and no schema by which a body would cost more than its bytes."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.kafka.avro import compile_schema

READING: dict[str, Any] = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant",
    "fields": [
        {"name": "temperature", "type": "double"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "raw", "type": "bytes"},
        {"name": "count", "type": ["null", "long"]},
    ],
}
VALUE = {
    "temperature": float("inf"),
    "price": Decimal("12.34"),
    "at": datetime(2026, 11, 29, 13, 14, 15, tzinfo=UTC),
    "tags": {"site": "north"},
    "raw": b"\x00\xff",
    "count": 2**62,
}


def write(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def write_length(number: int) -> bytes:
    number, text = number << 1, b""
    while number > 127:
        number, text = number >> 7, text + bytes([number & 127 | 128])
    return text + bytes([number])


def test_a_body_is_a_json_document() -> None:
    assert compile_schema(json.dumps(READING))(write(READING, VALUE)) == {
        "temperature": None,
        "price": "12.34",
        "at": "2026-11-29T13:14:15+00:00",
        "tags": {"site": "north"},
        "raw": "AP8=",
        "count": 2**62,
    }


def test_a_schema_may_name_those_that_it_refers_to() -> None:
    site = {"type": "record", "name": "plant.Site", "fields": [{"name": "id", "type": "string"}]}
    text = {"type": "record", "name": "R", "fields": [{"name": "site", "type": "plant.Site"}]}

    read = compile_schema(json.dumps(text), [json.dumps(site)])

    assert read(b"\x02a") == {"site": {"id": "a"}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        # fastavro reads one within another on the stack of C, whose end is the end of the process.
        (
            {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]},
            "within itself",
        ),
        (
            {
                "type": "record",
                "name": "a.N",
                "fields": [{"name": "m", "type": {"type": "map", "values": "a.N"}}],
            },
            "within itself",
        ),
        ({"type": "record", "name": "N", "fields": [{"name": "n", "type": "N"}]}, "within itself"),
        ({"type": "array", "items": "null"}, "takes no bytes"),
        ({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}, "takes no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "takes no bytes"),
        ({"type": "nonsense"}, "can't be read"),
        (7, "can't be read"),
    ],
)
def test_a_schema_by_which_a_body_has_no_bound_is_refused(schema: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_schema(json.dumps(schema))


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema: Any = "int"
    for _ in range(200):
        schema = {"type": "array", "items": schema}

    with pytest.raises(ValueError, match=r"nested too deeply|can't be read"):
        compile_schema(json.dumps(schema))


@pytest.mark.parametrize("innermost", ["int", "null"])
def test_a_schema_whose_types_double_each_other_is_refused_before_anyone_counts_to_its_end(
    innermost: str,
) -> None:
    schema: Any = {"type": "record", "name": "R0", "fields": [{"name": "n", "type": innermost}]}
    for number in range(1, 24):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"R{number - 1}"}]
        schema = {"type": "record", "name": f"R{number}", "fields": fields}

    with pytest.raises(ValueError, match="more than 10,000 parts"):
        compile_schema(json.dumps({"type": "array", "items": schema}))


def test_a_decimal_of_a_megabyte_is_refused_before_it_becomes_a_number() -> None:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}

    with pytest.raises(ValueError, match="not what its schema says"):
        compile_schema(json.dumps(schema))(write_length(1_000_000) + b"\x7f" * 1_000_000)


def test_what_follows_a_body_is_no_part_of_it() -> None:
    with pytest.raises(ValueError, match="more follows"):
        compile_schema(json.dumps(READING))(write(READING, VALUE) + b"x")


@given(st.binary(max_size=300))
def test_whatever_a_body_is_it_is_read_or_refused(body: bytes) -> None:
    with suppress(ValueError):
        assert set(compile_schema(json.dumps(READING))(body)) == {
            field["name"] for field in READING["fields"]
        }
