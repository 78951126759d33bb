"""Protocol Buffers by a descriptor set: every kind of field, sources and bodies that are none, the way back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, SourceRefused, Uplink
from tests.unit.codecs.decoding import ORGANIZATION, decode_one, find_error, read_data
from tests.unit.codecs.protobuf_schema import field, make_message, make_set


def describe(**more: str) -> str:
    return json.dumps({"descriptors": make_set(), "message": "plant.Report", **more})


def fill() -> Any:
    report = make_message("plant.Report")
    report.device, report.temperature, report.pressure = "d1", 21.3, 1013.25
    report.counter, report.offset, report.on, report.state, report.raw = 2**64 - 1, -5, True, 1, b"\x00\xff"
    report.samples.extend([1, -2])
    report.points.add(x=-1, y=0.5)
    report.by_name["a"].x = 7
    report.flags[True] = 2**40
    report.at.FromJsonString("2026-01-02T03:04:05Z")
    report.limit.value = 0
    return report


def test_every_kind_of_field_is_read() -> None:
    assert read_data("protobuf", describe(), fill().SerializeToString()) == {
        "device": "d1",
        "temperature": 21.3,
        "pressure": 1013.25,
        "counter": 2**64 - 1,
        "offset": -5,
        "on": True,
        "state": "HEATING",
        "raw": "AP8=",
        "samples": [1, -2],
        "points": [{"x": -1, "y": 0.5}],
        "by_name": {"a": {"x": 7, "y": 0.0}},
        "flags": {"true": 2**40},
        "at": "2026-01-02T03:04:05Z",
        "limit": 0,
    }


def test_what_is_zero_is_told_and_what_is_absent_is_not() -> None:
    assert read_data("protobuf", describe(), b"") == {
        "device": "",
        "temperature": 0.0,
        "pressure": 0.0,
        "counter": 0,
        "offset": 0,
        "on": False,
        "state": "IDLE",
        "raw": "",
    }
    report = make_message("plant.Report")
    report.battery, report.temperature, report.state = 0, float("nan"), 9

    told = read_data("protobuf", describe(), report.SerializeToString())

    assert (told["battery"], told["temperature"], told["state"]) == (0, None, 9)


def test_fields_that_are_not_in_the_descriptor_are_warned_of() -> None:
    decoded = decode_one("protobuf", describe(message="plant.Command"), fill().SerializeToString())

    assert decoded.ok
    assert "not in the descriptor" in decoded.warnings[0]


def test_a_mapping_says_what_a_message_means() -> None:
    source = describe(mapping="{messages: [{payload: {t: temperature}, device: device, time: at}]}")

    message = decode_one("protobuf", source, fill().SerializeToString()).messages[0]

    assert (message.payload, message.device, message.time) == ({"t": 21.3}, "d1", "2026-01-02T03:04:05Z")


def test_the_set_alone_is_enough_where_one_message_is_no_part_of_another() -> None:
    inner = descriptor_pb2.DescriptorProto(name="Inner", field=[field("x", 1, "int32")])
    outer = descriptor_pb2.DescriptorProto(name="Outer", field=[field("inner", 1, "p.Inner")])
    file = descriptor_pb2.FileDescriptorProto(
        name="p.proto", package="p", syntax="proto3", message_type=[inner, outer]
    )

    assert read_data("protobuf", make_set(file, imports=False), b"\x0a\x02\x08\x05") == {"inner": {"x": 5}}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "no FileDescriptorSet"),
        ("not base64!", "no FileDescriptorSet"),
        ("AAAA", "no FileDescriptorSet"),
        ("{", "line 1"),
        ('{\n  "descriptors": }', "(line 2, column 18)"),
        ("{}", "descriptors"),
        ('{"descriptors": 5}', "descriptors"),
        (json.dumps({"descriptors": make_set(), "messag": "x"}), "descriptors"),
        (
            json.dumps({"descriptors": make_set()}),
            "name the message of the bodies: one of plant.Command, plant.Point, plant.Report",
        ),
        (
            json.dumps({"descriptors": make_set(), "message": "plant.Nothing"}),
            "there is no message 'plant.Nothing'",
        ),
        (json.dumps({"descriptors": make_set(imports=False), "message": "plant.Report"}), "include_imports"),
        (json.dumps({"descriptors": make_set(), "message": "plant.Report", "mapping": "a.["}), "line 1"),
    ],
)
def test_a_source_that_is_none_says_why(source: str, told: str) -> None:
    with pytest.raises(SourceRefused, match=r".") as refused:
        Codec(ORGANIZATION, "protobuf", source).check()

    assert told in refused.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\xff",
        b"\xff",
        b"\x0a\x02\xff\xfe",
        b"\x12\x00",
        b"\x0b" * 50_000,
        b"\x6a\x02\x08",
        b"\x6a\x08\x08" + b"\xff" * 6 + b"\x7f",
    ],
)
def test_what_is_no_such_message_says_so(body: bytes) -> None:
    decoded = decode_one("protobuf", describe(), body)

    assert decoded.errors or decoded.warnings


def test_messages_within_messages_have_a_bottom() -> None:
    node = descriptor_pb2.DescriptorProto(name="Node", field=[field("child", 1, "p.Node")])
    file = descriptor_pb2.FileDescriptorProto(
        name="p.proto", package="p", syntax="proto3", message_type=[node]
    )
    body = b""
    for _ in range(300):
        size = len(body)
        body = b"\x0a" + (bytes((size & 0x7F | 0x80, size >> 7)) if size > 127 else bytes((size,))) + body

    assert find_error("protobuf", make_set(file, imports=False), body)


def test_many_small_messages_are_bounded() -> None:
    begun = time.monotonic()

    assert "values" in find_error("protobuf", describe(), b"\x52\x00" * 130_000)

    assert time.monotonic() - begun < 10


def test_a_command_is_written_as_its_own_message() -> None:
    codec = Codec(ORGANIZATION, "protobuf", describe(downlink="plant.Command"))

    body = codec.encode({"set_point": 21.5, "reset": True}).body

    assert Codec(ORGANIZATION, "protobuf", describe(message="plant.Command")).decode([Uplink(body)])[
        0
    ].data == {"set_point": 21.5, "reset": True}
    wrong: Any
    for wrong in ({"set_point": "warm"}, {"nothing": 1}, [], 5, None, {"reset": 2}):
        with pytest.raises(CodecFailed, match=r"plant\.Command"):
            codec.encode(wrong)
