"""Hostile bodies and sources of formats: each ends in time with an answer, and the next call works."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import cbor2
import pytest
from google.protobuf import descriptor_pb2

from shared.codecs.codec import Codec
from shared.codecs.contract import SourceRefused, Uplink
from tests.unit.codecs.decoding import ORGANIZATION, decode_one
from tests.unit.codecs.protobuf_schema import field

DEADLINE = 15.0
PROTO = descriptor_pb2.DescriptorProto
SENML = {"n": "t", "v": 1}


def describe(*messages: Any, count: int = 1, **more: Any) -> str:
    files = [
        descriptor_pb2.FileDescriptorProto(
            name=f"{number}.proto", package=f"p{number}", syntax="proto3", message_type=messages, **more
        )
        for number in range(count)
    ]
    return base64.b64encode(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()).decode()


def nest(depth: int) -> Any:
    inner = PROTO(name="M", field=[field("x", 1, "int32")])
    for _ in range(depth):
        inner = PROTO(name="M", nested_type=[inner])
    return inner


def nest_by_hand(depth: int) -> str:
    """More levels than the library itself would write."""
    message = b"\x0a\x01M"
    for _ in range(depth):
        message = b"\x0a\x01M\x1a" + write_length(message)
    return base64.b64encode(b"\x0a" + write_length(b"\x0a\x01f\x22" + write_length(message))).decode()


def write_length(content: bytes) -> bytes:
    size, head = len(content), b""
    while size > 0x7F:
        head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
    return head + bytes([size]) + content


def chain(length: int) -> list[Any]:
    """Messages of which each has the next twice: what is small as a schema, and huge as a tree."""
    kinds = [field("a", 1, f"p0.M{at + 1}") for at in range(length)]
    return [
        PROTO(name=f"M{at}", field=[one, field("b", 2, f"p0.M{at + 1}")]) for at, one in enumerate(kinds)
    ] + [PROTO(name=f"M{length}", field=[field("x", 1, "int32")])]


WIDE = PROTO(name="M", field=[field(f"f{at}", at + 1, "int32") for at in range(6_000)])
SELF = PROTO(name="M", field=[field("m", 1, "p0.M"), field("many", 2, "p0.M", repeated=True)])
BITS = PROTO(name="M", field=[field("bits", 1, "bool", repeated=True)])
SOURCES = {
    "nested": describe(nest(40)),
    "nested too deep": nest_by_hand(200),
    "wide": describe(WIDE),
    "itself": json.dumps({"descriptors": describe(SELF), "message": "p0.M"}),
    "chained": describe(*chain(60)),
    "many files": describe(PROTO(name="M", field=[field("x", 1, "int32")]), count=1_500),
    "bits": describe(BITS),
    "no such import": describe(PROTO(name="M"), dependency=["missing.proto"]),
    "imports itself": describe(PROTO(name="M"), dependency=["0.proto"]),
    "no such type": describe(PROTO(name="M", field=[field("x", 1, "p0.None")])),
    "the same name twice": describe(PROTO(name="M"), PROTO(name="M")),
    "the same number twice": describe(
        PROTO(name="M", field=[field("a", 1, "int32"), field("b", 1, "int32")])
    ),
    "number zero": describe(PROTO(name="M", field=[field("a", 0, "int32")])),
    "a well-known name": json.dumps(
        {"descriptors": describe(PROTO(name="M")), "message": "google.protobuf.Any"}
    ),
    "nested JSON": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "a list": '{"descriptors": ["x"]}',
    "no members": "{}",
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "body",
    [b"", b"\x0a\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x82\x01" + b"\x01" * 130, b"\x12\x00" * 60_000],
)
def test_no_descriptor_and_no_message_of_it_takes_for_ever(name: str, body: bytes) -> None:
    begun = time.monotonic()

    decoded = decode_one("protobuf", SOURCES[name], body)

    assert time.monotonic() - begun < DEADLINE
    assert decoded.errors or decoded.messages
    assert not any("did not end in time" in error for error in decoded.errors)


@pytest.mark.parametrize(
    "name", ["nested too deep", "no such import", "no such type", "nested JSON", "a list"]
)
def test_a_descriptor_that_is_none_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        Codec(ORGANIZATION, "protobuf", SOURCES[name]).check()

    assert len(refused.value.reason) > 10
    assert "did not end" not in refused.value.reason


def test_a_packed_list_of_more_values_than_are_kept_is_refused() -> None:
    body = b"\x0a\x90\xa1\x0f" + b"\x01" * 250_000

    assert "50,000 values" in decode_one("protobuf", SOURCES["bits"], body).errors[0]


@pytest.mark.parametrize(
    "pack",
    [
        [{"bt": 1e308, **SENML}],
        [{"bt": 1e308, "t": 1e308, **SENML}],
        [{"bt": -1e300, **SENML}],
        [{"bt": 10**400, **SENML}],
        [{"t": -(10**30), **SENML}],
        [{"bv": 1e308, "n": "t", "v": 1e308}],
        [{"bv": 10**350, "n": "t", "v": 0.5}],
        [{"bn": "x" * 100_000, **SENML}],
        [{"n": "t", "v": 1, "t": at} for at in range(1_500)],
        [{"n": f"n{at}", "v": at} for at in range(5_000)],
        [{"n": "t", "v": at} for at in range(5_000)],
        [{"n": "units", "v": 1, "u": "m"}, {"n": "t", "v": 1, "u": "Cel"}],
    ],
    ids=range(12),
)
@pytest.mark.parametrize("write", [json.dumps, cbor2.dumps], ids=["json", "cbor"])
def test_no_pack_takes_for_ever_or_makes_what_can_not_be_stored(pack: Any, write: Any) -> None:
    made = write(pack)
    begun = time.monotonic()

    decoded = decode_one("senml", "", made.encode() if isinstance(made, str) else made)

    assert time.monotonic() - begun < DEADLINE
    assert decoded.errors or decoded.messages
    json.dumps([decoded.data, *decoded.messages], allow_nan=False)


def test_members_that_have_one_name_as_text_are_warned_of() -> None:
    decoded = decode_one("cbor", "", cbor2.dumps({1: "a", "1": "b"}))

    assert decoded.data == {"1": "b"}
    assert "the last one counts" in decoded.warnings[0]


def test_hundreds_of_codecs_of_many_organizations_take_turns() -> None:
    sources = [
        (
            f"organization-{at % 11}",
            f"var mine = {at}; function Decoder(bytes) {{ return [mine, bytes[0]]; }}",
        )
        for at in range(300)
    ]

    told = [
        Codec(organization, "javascript", source).decode([Uplink(bytes([at % 256]))])[0].data
        for _ in range(2)
        for at, (organization, source) in enumerate(sources)
    ]

    assert told == [[at, at % 256] for at in range(300)] * 2
