"""Messages become JSON whole, by their descriptors alone, and whatever comes is bounded."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.grpc.descriptors import Schema
from shared.providers.grpc.values import BodyReader
from shared.runtime.exact_json import read_json, write_json
from tests.fakes.grpc.proto_files import read_set

SCHEMA = Schema.from_set(read_set("demo"))
READER = BodyReader(SCHEMA.pool)
READING: Any = SCHEMA.find_method("demo.v1.Telemetry/Watch").reply


def read(**fields: Any) -> dict[str, Any]:
    return READER.read(READING, READING(**fields).SerializeToString())


def write_varint(number: int) -> bytes:
    written = b""
    while number > 0x7F:
        written += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return written + bytes((number,))


def nest(tag: bytes, levels: int) -> bytes:
    body = b""
    for _ in range(levels):
        body = tag + write_varint(len(body)) + body
    return body


def test_zeros_are_said_and_what_is_not_there_is_not() -> None:
    document = read(device="a")

    assert (document["temperature"], document["sequence"], document["state"]) == (0, 0, "STATE_UNKNOWN")
    assert not {"level", "time", "parent", "extra"} & document.keys()
    assert read(level=0)["level"] == 0


def test_numbers_keep_their_worth() -> None:
    document = read(sequence=2**62 + 1, ratio=0.1, temperature=float("nan"))

    assert (document["sequence"], document["ratio"], document["temperature"]) == (2**62 + 1, 0.1, "NaN")
    assert read_json(write_json(document))["sequence"] == 2**62 + 1


def test_each_kind_is_as_in_the_json_mapping_of_protobuf() -> None:
    reading = READING(raw=b"\xff", state=1)
    reading.channels[-7] = float("-inf")
    reading.by[True].id = "x"
    reading.time.FromJsonString("2026-11-29T13:14:15.5Z")
    reading.wrapped.value = 0
    reading.notes.update({"a": [1, 1.5, None, True, {"b": "c"}]})
    reading.extra.Pack(READING(id="inner"))

    document = READER.read(READING, reading.SerializeToString())

    assert (document["raw"], document["state"], document["channels"]) == (
        "/w==",
        "RUNNING",
        {"-7": "-Infinity"},
    )
    assert document["by"]["true"]["id"] == "x"
    assert (document["time"], document["wrapped"]) == ("2026-11-29T13:14:15.500Z", 0)
    assert document["notes"] == {"a": [1, 1.5, None, True, {"b": "c"}]}
    assert (document["extra"]["@type"], document["extra"]["id"]) == (
        "type.googleapis.com/demo.v1.Reading",
        "inner",
    )


def test_an_any_of_an_unknown_or_wrong_type_is_kept_as_it_came() -> None:
    for url in ("type.googleapis.com/nobody.Knows", "demo.v1.Reading", ""):
        reading = READING()
        reading.extra.type_url, reading.extra.value = url, b"\xff\xff"
        assert READER.read(READING, reading.SerializeToString())["extra"] == {"@type": url, "value": "//8="}


def test_an_enum_without_a_name_is_its_number() -> None:
    assert read(state=77)["state"] == 77


def test_a_time_that_is_none_is_kept_by_its_parts() -> None:
    reading = READING()
    reading.time.seconds, reading.time.nanos = 2**60, -5

    assert READER.read(READING, reading.SerializeToString())["time"] == {"seconds": 2**60, "nanos": -5}


def test_what_the_descriptors_do_not_name_stands_under_its_number() -> None:
    inner = READING(id="i").SerializeToString() + b"\xf8\x07\x05"
    body = READING(id="a").SerializeToString() + b"\x5a" + write_varint(len(inner)) + inner
    body += b"\x82\x09\x02hi" + b"\x82\x09\x01x" + b"\x8d\x09\x01\x00\x00\x00"

    document = READER.read(READING, body)

    assert (document["#144"], document["#145"]) == ([base64.b64encode(b"hi").decode(), "eA=="], 1)
    assert document["parent"]["#127"] == 5


@pytest.mark.parametrize("levels", [90, 101, 5_000])
def test_what_is_nested_deeply_is_read_or_refused(levels: int) -> None:
    body = nest(b"\x5a", levels)
    if levels < 100:
        assert READER.read(READING, body)
    else:
        with pytest.raises(ValueError, match="descriptors say"):
            READER.read(READING, body)


def test_any_within_any_has_an_end() -> None:
    reading = READING()
    for _ in range(150):
        outer = READING()
        outer.extra.Pack(reading)
        reading = outer

    with pytest.raises(ValueError, match="nested too deeply"):
        READER.read(READING, reading.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        b"\x82\x01\x00" * 340_000,
        b"\x5a" + write_varint(900_000) + b"\x82\x01\x00" * 300_000,
        b"\x7a\x00" * 500_000,
        b"\x83\x01" * 500_000,
        b"\x6a" + write_varint(900_000) + b"\x0a\x00" * 450_000,
    ],
    ids=["list", "within one", "map", "groups", "struct"],
)
def test_a_small_body_that_is_many_messages_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"too much memory|more than .* values|descriptors say"):
        READER.read(READING, body)


def test_what_the_descriptors_do_not_name_counts_too() -> None:
    with pytest.raises(ValueError, match="values"):
        READER.read(READING, b"\xf8\x07\x01" * 250_001)


def describe(package: str, *messages: tuple[str, str]) -> BodyReader:
    """A type M that has a message of each of these types, which have one field each."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto(name="odd.proto", package=package, syntax="proto3")
    whole = file.message_type.add(name="M")
    for number, (name, field) in enumerate(messages, start=1):
        file.message_type.add(name=name).field.add(name=field, number=1, type=9, label=1)
        whole.field.add(name=f"f{number}", number=number, type=11, type_name=f".{package}.{name}", label=1)
    return BodyReader(Schema([file.SerializeToString()]).pool)


@pytest.mark.parametrize(
    ("package", "name", "field"),
    [
        *(("a", "N", field) for field in ("HasField", "DESCRIPTOR", "ByteSize", "DiscardUnknownFields")),
        *(("google.protobuf", name, "x") for name in ("Any", "Struct", "Timestamp", "DoubleValue", "Value")),
    ],
)
def test_descriptors_that_name_what_nothing_can_be_read_by_are_told(
    package: str, name: str, field: str
) -> None:
    from google.protobuf.message_factory import GetMessageClass

    reader = describe(package, (name, field))
    whole = GetMessageClass(reader.pool.FindMessageTypeByName(f"{package}.M"))

    with pytest.raises(ValueError, match=r"descriptors have a|protobuf keeps for itself"):
        reader.read(whole, b"\x0a\x03\x0a\x01a")


@given(st.binary(max_size=300))
def test_no_bytes_are_a_crash(body: bytes) -> None:
    try:
        document = READER.read(READING, body)
    except ValueError:
        return
    assert write_json(document)


@given(st.integers(0, 299), st.binary(min_size=1, max_size=3))
def test_no_damage_is_a_crash(place: int, other: bytes) -> None:
    reading = READING(id="a" * 50, raw=os.urandom(50), temperature=1.5)
    reading.notes.update({"a": [1, {"b": None}]})
    reading.extra.Pack(READING(id="inner"))
    body = bytearray(reading.SerializeToString())
    body[place % len(body) : place % len(body) + len(other)] = other
    try:
        document = READER.read(READING, bytes(body))
    except ValueError:
        return
    assert write_json(document)
