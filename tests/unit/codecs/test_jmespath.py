"""JMESPath mappings: what they see, what they may answer, where they are wrong, and how they are bounded."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, DecodedMessage, SourceRefused, Uplink
from tests.unit.codecs.decoding import ORGANIZATION, decode, decode_one, find_error, read_data

BODY = b'{"device":{"id":"d1"},"readings":[{"t":21.5,"at":1767323045},{"t":22,"at":1767323105}]}'


def make(source: str) -> Codec:
    return Codec(ORGANIZATION, "jmespath", source)


def test_a_mapping_chooses_the_data() -> None:
    decoded = decode_one("jmespath", "{id: device.id, hottest: max(readings[].t)}", BODY)

    assert decoded.data == {"id": "d1", "hottest": 22}
    assert decoded.messages == (DecodedMessage({"id": "d1", "hottest": 22}),)


def test_a_mapping_may_make_several_messages() -> None:
    source = "{messages: readings[].{payload: {t: t}, time: at, device: topic_level(`1`), kind: 'state'}}"

    messages = decode_one("jmespath", source, BODY, topic="plant/oven/up").messages

    assert messages == (
        DecodedMessage({"t": 21.5}, "oven", 1767323045, "state"),
        DecodedMessage({"t": 22}, "oven", 1767323105, "state"),
    )


def test_a_mapping_may_warn_and_refuse() -> None:
    warned = decode_one("jmespath", "{data: @, warnings: ['old']}", b"1")
    refused = decode_one("jmespath", "{errors: ['no reading']}", b"1")

    assert (warned.data, warned.warnings) == (1, ("old",))
    assert refused.errors == ("no reading",)


def test_a_member_called_messages_beside_others_is_data() -> None:
    assert read_data("jmespath", "{messages: `3`, unread: `1`}", b"{}") == {"messages": 3, "unread": 1}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("topic()", "a/b/c"),
        ("topic_level(`0`)", "a"),
        ("topic_level(`-1`)", "c"),
        ("[topic_level(`9`)]", [None]),
        ("f_port()", 1),
    ],
)
def test_a_mapping_sees_what_the_transport_says(source: str, value: Any) -> None:
    assert read_data("jmespath", source, b"{}", "a/b/c") == value


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a.[b", "(line 1, column 5)"),
        ("{a: b,\n c: }", "(line 2, column 5)"),
        ("a.\n #", "(line 2, column 2)"),
        ("", "it is empty"),
        ("unknown(@)", "there is no function unknown()"),
        ("a[?unknown(@)]", "there is no function unknown()"),
        ("[" * 2_000, ""),
        ("a" * 10_001, "at most 10,000 characters"),
    ],
)
def test_a_mapping_that_does_not_compile_says_where(source: str, place: str) -> None:
    with pytest.raises(SourceRefused, match=r".") as refused:
        make(source).check()

    assert place in refused.value.detail


@pytest.mark.parametrize(
    ("source", "body", "told"),
    [
        ("a", b"", "The body is empty"),
        ("a", b"{", "Not JSON"),
        ("a", b"\xff", "Not JSON"),
        ("a", b"NaN", "Not JSON"),
        ("a", b"[" * 100_000, "Not JSON"),
        ("a", b"1" * 5_000, "Not JSON"),
        ("a", b"{}", "gives nothing"),
        ("sum(@)", b'["a"]', "The mapping failed"),
        ("length(@)", b"1", "The mapping failed"),
        ("join('', @)", b'"a"', "The mapping failed"),
        ("abs(@, @)", b"1", "The mapping failed"),
    ],
)
def test_a_body_that_it_does_not_fit_says_why(source: str, body: bytes, told: str) -> None:
    assert told in find_error("jmespath", source, body)


@pytest.mark.parametrize(
    "source",
    [
        "@" + ".[@,@]" * 60,
        "@" + ".[@,@][]" * 60,
        " | ".join(["[@,@]"] * 60),
        "to_string([" * 40 + "@" + "])" * 40,
        "{a: " + "@" + ".[@,@]" * 40 + " == " + "@" + ".[@,@]" * 40 + "}",
        "join(to_string(@), map(&to_string(@), @[].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][]))",
    ],
)
def test_a_mapping_that_grows_without_end_is_stopped(source: str) -> None:
    body = orjson.dumps(["\\\"'"] * 1_000)
    begun = time.monotonic()

    grown, _ = decode("jmespath", source, body, b"1")

    assert time.monotonic() - begun < 20
    assert grown.errors
    assert read_data("jmespath", "@", b"1") == 1


def test_a_command_and_an_event_go_through_it_too() -> None:
    assert make("{cmd: name, port: f_port()}").encode({"name": "on"}, 5).body == b'{"cmd":"on","port":5}'
    assert make("{v: payload.t}").encode_events([{"payload": {"t": 1}}]) == [(b'{"v":1}', "application/json")]
    assert make("payload.t").encode_events([{"payload": {"t": "hot"}}]) == [
        (b"hot", "text/plain; charset=utf-8")
    ]
    with pytest.raises(CodecFailed, match="gives nothing"):
        make("nothing").encode({})


def test_numbers_beyond_64_bits_become_text() -> None:
    body = b'{"big":18446744073709551616,"most":18446744073709551615,"least":-9223372036854775808}'

    assert make("@").decode([Uplink(body)])[0].data == {
        "big": str(2**64),
        "most": 2**64 - 1,
        "least": -(2**63),
    }
