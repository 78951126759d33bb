"""SenML: the examples of RFC 8428, both ways of writing it, and packs that are none."""

from __future__ import annotations

from typing import Any

import cbor2
import orjson
import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Decoded, DecodedMessage, Uplink
from tests.unit.codecs.decoding import ORGANIZATION, find_error

NOW = "2026-01-02T03:04:05Z"
NOW_UNIX = 1767323045


def read(pack: Any) -> Decoded:
    body = pack if isinstance(pack, bytes) else orjson.dumps(pack)
    return Codec(ORGANIZATION, "senml", "").decode([Uplink(body, received_at=NOW)])[0]


def test_one_reading_without_a_base() -> None:
    decoded = read([{"n": "urn:dev:ow:10e2073a01080063", "u": "Cel", "v": 23.1}])

    assert decoded.data == [{"n": "urn:dev:ow:10e2073a01080063", "u": "Cel", "v": 23.1}]
    assert decoded.messages == (
        DecodedMessage(
            {"urn:dev:ow:10e2073a01080063": 23.1, "units": {"urn:dev:ow:10e2073a01080063": "Cel"}}
        ),
    )


def test_base_fields_hold_for_what_follows_and_times_make_messages() -> None:
    decoded = read(
        [
            {
                "bn": "urn:dev:ow:10e2073a01080063:",
                "bt": 1.276020076001e9,
                "bu": "A",
                "bver": 5,
                "n": "voltage",
                "u": "V",
                "v": 120.1,
            },
            {"n": "current", "t": -5, "v": 1.2},
            {"n": "current", "t": -5, "v": 1.3},
            {"n": "open", "vb": True},
            {"bn": "urn:dev:mac:1/", "bt": 0, "t": -60, "n": "label", "u": "/", "vs": "x"},
        ]
    )

    device = "urn:dev:ow:10e2073a01080063"
    assert decoded.messages == (
        DecodedMessage(
            {"voltage": 120.1, "units": {"voltage": "V", "open": "A"}, "open": True}, device, 1276020076.001
        ),
        DecodedMessage({"current": [1.2, 1.3], "units": {"current": "A"}}, device, 1276020071.001),
        DecodedMessage({"label": "x", "units": {"label": "/"}}, "urn:dev:mac:1", NOW_UNIX - 60),
    )
    assert decoded.data[1] == {"n": f"{device}:current", "u": "A", "v": 1.2, "t": 1276020071.001}


def test_base_values_and_sums_are_added() -> None:
    decoded = read([{"bn": "d", "bv": 20, "bs": 100, "v": 1.5, "s": 3, "ut": 60}])

    assert decoded.data == [{"n": "d", "v": 21.5, "s": 103, "ut": 60}]
    assert decoded.messages == (DecodedMessage({"value": 21.5, "value_sum": 103}, "d"),)


def test_cbor_says_the_same_as_json() -> None:
    by_label = cbor2.dumps(
        [{-2: "urn:dev:", -3: 1.276e9, 0: "t", 1: "Cel", 2: 23.5}, {0: "raw", 8: b"\x01", 6: -1}]
    )

    decoded = read(by_label)

    assert [message.payload for message in decoded.messages] == [
        {"t": 23.5, "units": {"t": "Cel"}},
        {"raw": "AQ=="},
    ]
    assert decoded.messages[1].time == 1.276e9 - 1


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        ([], "not empty"),
        ({}, "list of records"),
        (b"", "The body is empty"),
        (b"[", "Not JSON"),
        (b"\x9f", "Not CBOR"),
        ([5], "is an object"),
        ([{"v": 1}], "no valid name"),
        ([{"n": "-a", "v": 1}], "no valid name"),
        ([{"n": "a", "v": "1"}], "'v' has to be a number"),
        ([{"n": "a", "v": True}], "'v' has to be a number"),
        ([{"n": 5, "v": 1}], "'n' has to be text"),
        ([{"n": "a", "v": 1, "vs": "x"}], "more than one value"),
        ([{"n": "a", "bver": 11, "v": 1}], "version"),
        ([{"n": "a", "v": 1, "new_": 1}], "must be understood"),
    ],
)
def test_a_pack_that_is_none_says_why(pack: Any, told: str) -> None:
    body = pack if isinstance(pack, bytes) else orjson.dumps(pack)

    assert told in find_error("senml", "", body)


def test_records_without_a_value_say_nothing() -> None:
    assert read([{"bn": "d", "bt": 5}]).messages == ()


def test_data_become_a_pack() -> None:
    codec = Codec(ORGANIZATION, "senml", "")

    assert orjson.loads(codec.encode({"t": 21.5, "on": True, "label": "x"}).body) == [
        {"n": "t", "v": 21.5},
        {"n": "on", "vb": True},
        {"n": "label", "vs": "x"},
    ]
    assert codec.encode([{"bn": "d", "v": 1}]).body == b'[{"bn":"d","v":1}]'
    assert codec.encode_events([{"t": 1}]) == [(b'[{"n":"t","v":1}]', "application/senml+json")]
    wrong: Any
    for wrong in ({}, 5, {"t": []}, [{"v": "x"}]):
        with pytest.raises(CodecFailed):
            codec.encode(wrong)
