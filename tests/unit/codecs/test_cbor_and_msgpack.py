"""CBOR and MessagePack: what JSON has not, small bodies that want to be enormous, and the way back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cbor2
import msgpack
import orjson
import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Encoded
from tests.unit.codecs.decoding import ORGANIZATION, decode_one, find_error, read_data


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (cbor2.undefined, None),
        (b"\x00\xff", "AP8="),
        (2**64, str(2**64)),
        (-(2**64) - 1, str(-(2**64) - 1)),
        (2**64 - 1, 2**64 - 1),
        (
            {1: "a", -2.5: "b", None: "c", b"\x01": "d"},
            {"-2.5": "b", "null": "c", "AQ==": "d", "1": "a"},
        ),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Decimal("273.15"), 273.15),
        (cbor2.CBORTag(5, [-1, 3]), 1.5),
        (cbor2.CBORTag(4711, {"a": [1]}), {"a": [1]}),
        (cbor2.CBORTag(35, "(a*)*" * 1_000), "(a*)*" * 1_000),
        (cbor2.CBORTag(258, [1, 3]), [1, 3]),
        (cbor2.CBORSimpleValue(99), 99),
    ],
)
def test_what_cbor_has_and_json_has_not_becomes_what_json_has(value: Any, data: Any) -> None:
    assert read_data("cbor", "", cbor2.dumps({"value": value})) == {"value": data}


def nest_names(levels: int) -> bytes:
    """Maps whose only name is a map, and so on: few bytes that grow with every level where names become text."""
    return b"\xa1" * levels + b"\x00" + b"\x00" * levels


def collide(count: int) -> bytes:
    """A map whose names are different numbers with one and the same hash."""
    names = (cbor2.dumps((2**61 - 1) * 2**64 * at) for at in range(1, count))
    return b"\xb9" + (count - 1).to_bytes(2) + b"".join(name + b"\x00" for name in names)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xa1",
        b"\x01\x02",
        b"\xff",
        b"\x62\xff\xfe",
        b"\x63\xed\xa0\x80",
        b"\x81" * 101 + b"\x01",
        b"\x81" * 200_000 + b"\x01",
        b"\xd9\x12\x67" * 60_000 + b"\x01",
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xc2\x59\xff\xff" + b"\xff" * 65_535,
        b"\xc2\x01",
        b"\xc4\x82\x1a\x7f\xff\xff\xff\x01",
        b"\xc5\x82\x1a\x7f\xff\xff\xff\x01",
        cbor2.dumps(cbor2.CBORTag(256, ["a" * 100, cbor2.CBORTag(25, 0)])),
        nest_names(26),
        nest_names(90),
        b"\xa1\x81\x01\x02",
        b"\x80" * 250_000,
        b"\x99\xff\xff" + b"\x80" * 65_535,
    ],
)
def test_what_is_no_cbor_or_too_much_says_so_at_once(body: bytes) -> None:
    begun = time.monotonic()

    assert find_error("cbor", "", body)

    assert time.monotonic() - begun < 5


def test_names_that_were_chosen_to_collide_cost_nothing() -> None:
    begun = time.monotonic()

    data = read_data("cbor", "", collide(4_000))

    assert len(data) == 3_999
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (float("inf"), None),
        (b"\x00\xff", "AP8="),
        ({1: "a", 2.5: "b", None: "c"}, {"1": "a", "2.5": "b", "null": "c"}),
        (msgpack.Timestamp(1767323045, 500_000_000), 1767323045.5),
        (msgpack.ExtType(5, b"\x01"), {"extension": 5, "data": "AQ=="}),
        (2**64 - 1, 2**64 - 1),
        ("a\x00", "a\ufffd"),
    ],
)
def test_what_msgpack_has_and_json_has_not_becomes_what_json_has(value: Any, data: Any) -> None:
    assert read_data("msgpack", "", bytes(msgpack.packb({"value": value}))) == {"value": data}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\x92\x01",
        b"\xa2\xff\xfe",
        b"\x91" * 101 + b"\x01",
        b"\x91" * 200_000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\x90\x01",
        b"\x81\x81\x01\x02\x03",
        b"\xdc\xff\xff" + b"\x90" * 65_535,
        b"\xc7\xff\xff\x00",
    ],
)
def test_what_is_no_msgpack_or_too_much_says_so_at_once(body: bytes) -> None:
    begun = time.monotonic()

    assert find_error("msgpack", "", body)

    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind", ["cbor", "msgpack"])
def test_characters_that_can_not_be_stored_are_replaced_with_a_warning(kind: str) -> None:
    content = {"a\x00": "b\x00"}
    body = cbor2.dumps(content) if kind == "cbor" else bytes(msgpack.packb(content))

    decoded = decode_one(kind, "", body)

    assert decoded.data == {"a\ufffd": "b\ufffd"}
    assert "U+FFFD" in decoded.warnings[0]


@pytest.mark.parametrize(("kind", "read"), [("cbor", cbor2.loads), ("msgpack", msgpack.unpackb)])
def test_data_and_events_are_written(kind: str, read: Any) -> None:
    data = {"on": True, "list": [1, -2.5, None, "ü"], "big": 2**63}
    codec, mapped = Codec(ORGANIZATION, kind, ""), Codec(ORGANIZATION, kind, "payload.t")

    encoded = mapped.encode_events([{"payload": {"t": 21.5}}])[0]

    assert read(codec.encode(data).body) == data
    assert isinstance(encoded, Encoded)
    assert (read(encoded.body), encoded.content_type) == (21.5, f"application/{kind}")


@pytest.mark.parametrize("kind", ["cbor", "msgpack"])
def test_a_mapping_says_what_a_document_means(kind: str) -> None:
    document = {"d": "a", "t": 1767323045, "v": [1, 2]}
    body = cbor2.dumps(document) if kind == "cbor" else bytes(msgpack.packb(document))

    message = decode_one(kind, "{messages: [{payload: v, device: d, time: t}]}", body).messages[0]

    assert (message.payload, message.device, message.time) == ([1, 2], "a", 1767323045)


def test_what_can_not_be_written_says_why() -> None:
    codec = Codec(ORGANIZATION, "cbor", "nothing.at.all")

    assert isinstance(codec.encode_events([{}])[0], Encoded)
    with pytest.raises(CodecFailed, match="at most 262,144"):
        codec.encode("x" * 300_000)


def test_what_came_can_be_told_as_json() -> None:
    assert orjson.dumps(
        read_data("cbor", "", cbor2.dumps({"a": b"\xff", "b": 2**70, "c": [cbor2.undefined]}))
    )
