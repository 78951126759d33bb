"""Pushed bodies by their content type: what CBOR has and JSON has not, bombs, and that nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cbor2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import decode_body

CBOR, JSON = "application/cbor", "application/json"


def decode_cbor(document: Any) -> Any:
    body = decode_body(CBOR, cbor2.dumps(document))
    assert body.error is None
    return body.payload


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (cbor2.undefined, None),
        (b"\x00\xff", "AP8="),
        (2**64, "18446744073709551616"),
        (-(2**64), "-18446744073709551616"),
        (2**64 - 1, 2**64 - 1),
        (
            {1: "a", -2.5: "b", None: "c", b"\x01": "d", (1, 2): "e"},
            {"1": "a", "-2.5": "b", "null": "c", "AQ==": "d", "[1,2]": "e"},
        ),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Decimal("273.15"), [-2, 27315]),
        (cbor2.CBORTag(4711, {"a": [1]}), {"a": [1]}),
        (cbor2.CBORSimpleValue(99), 99),
        (cbor2.CBORTag(55799, {"a": 1}), {"a": 1}),
        (cbor2.CBORTag(258, [1, 3]), [1, 3]),
    ],
)
def test_what_json_has_not_becomes_what_it_has(value: Any, payload: Any) -> None:
    assert decode_cbor({"value": value}) == {"value": payload}


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
        b"\xd9\x12\x67" * 100_000 + b"\x01",
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xc2\x59\xff\xff" + b"\xff" * 65_535,
        b"\xc2\x01",
        cbor2.dumps(cbor2.CBORTag(256, ["a" * 100, cbor2.CBORTag(25, 0)])),
    ],
)
def test_what_is_no_cbor_or_too_much_is_kept_with_the_reason(body: bytes) -> None:
    decoded = decode_body(CBOR, body)

    assert (decoded.payload, decoded.raw) == (None, body)
    assert decoded.error


def test_a_pattern_is_not_compiled() -> None:
    assert decode_cbor(cbor2.CBORTag(35, "(a*)*" * 50_000)) == "(a*)*" * 50_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"1e999",
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 101 + b"]" * 101,
    ],
)
def test_what_is_no_json_the_database_takes_is_kept_with_the_reason(body: bytes) -> None:
    decoded = decode_body(JSON, body)

    assert (decoded.payload, decoded.raw) == (None, body)
    assert decoded.error


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "image/png", "nonsense"])
def test_any_other_type_is_bytes_and_no_error(content_type: str) -> None:
    assert decode_body(content_type, b'{"a":1}') == (None, b'{"a":1}', None, None)


@pytest.mark.parametrize(
    ("content_type", "body", "payload", "raw"),
    [
        ("Application/JSON; charset=utf-8", b'{"a":1}', {"a": 1}, None),
        ("application/senml+json", b"[1]", [1], None),
        ("application/senml+cbor", b"\x81\x01", [1], b"\x81\x01"),
        ("", b'{"a":1}', {"a": 1}, None),
        ("", b"hello", None, b"hello"),
        (JSON, b"null", None, b"null"),
        (JSON, b"21.5", 21.5, None),
    ],
)
def test_the_type_says_how_a_body_is_read(
    content_type: str, body: bytes, payload: Any, raw: bytes | None
) -> None:
    assert decode_body(content_type, body) == (payload, raw, None, None)


@pytest.mark.parametrize(
    ("content_type", "body", "payload"),
    [
        (JSON, b'"\\u0000"', "\ufffd"),
        (JSON, b"\xef\xbb\xbf{}", {}),
        ("", b'{"a":1}\0', {"a": 1}),
        (JSON, b'{"a":1,"a":2}', {"a": 2}),
        (CBOR, cbor2.dumps({"a\0": ["\0", 1]}), {"a\ufffd": ["\ufffd", 1]}),
        (CBOR, b"\x61\x00", "\ufffd"),
    ],
)
def test_what_little_is_wrong_with_is_mended_marked_and_kept(
    content_type: str, body: bytes, payload: Any
) -> None:
    decoded = decode_body(content_type, body)

    assert (decoded.payload, decoded.raw, decoded.error) == (payload, body, None)
    assert decoded.remark


def test_a_whole_number_of_any_size_keeps_its_digits() -> None:
    assert decode_body(JSON, b"[89014103211118510720]").payload == [89014103211118510720]


@given(st.sampled_from([CBOR, JSON, "", "text/plain"]), st.binary(max_size=200))
def test_no_body_raises_or_gives_what_json_cannot_say(content_type: str, body: bytes) -> None:
    orjson.dumps(decode_body(content_type, body).payload)
