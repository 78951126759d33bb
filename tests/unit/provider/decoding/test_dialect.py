"""The payload dialects: what is read from bodies devices really send, and that no body ever raises."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provider import (
    MESSAGE_LIMIT,
    Dialect,
    Message,
    PayloadDecoder,
    TopicRules,
    find_vmark_reply,
    parse_time,
)
from shared.provider.decoding.topics import match_topic

TOPIC = "devices/d1/telemetry"
STANDARD = Dialect()
RULES = TopicRules(("devices/+/telemetry", "site/+/#"))
CUSTOM = Dialect(
    "custom", device_id_path="meta.dev", telemetry_path="body.values.0", timestamp_path="meta.at"
)


def decode(
    body: Any, topic: str = TOPIC, dialect: Dialect = STANDARD, rules: TopicRules | None = None
) -> Message:
    message = PayloadDecoder(dialect, rules or (RULES if dialect is STANDARD else TopicRules())).decode(
        topic, body if isinstance(body, bytes) else orjson.dumps(body), "e1"
    )
    assert message is not None
    return message


# Standard


def test_known_readings_are_taken_and_the_rest_stays_in_raw() -> None:
    body = b'{"temperature":21.5,"battery_level":80,"color":"red","seq":7}'

    message = decode(body)

    assert (message.kind, message.payload) == ("telemetry", {"temperature": 21.5, "battery_level": 80})
    assert (message.raw, message.error) == (body.decode(), None)


def test_without_a_known_reading_every_number_but_times_and_ids_is_one() -> None:
    message = decode({"co2": 400, "id": 9, "ts": 1764000000, "time": 5, "on": True, "name": "x"})

    assert message.payload == {"co2": 400}


def test_a_number_sent_as_text_is_a_reading_and_other_text_is_none() -> None:
    assert decode({"temperature": " -21.5", "humidity": "wet"}).payload == {"temperature": -21.5}


def test_a_body_that_is_nothing_but_readings_needs_no_raw() -> None:
    assert decode({"temperature": 21.5}).raw is None


def test_an_object_without_readings_is_an_event_and_kept_whole() -> None:
    message = decode({"door": "open", "by": {"user": 3}})

    assert (message.kind, message.payload, message.raw) == (
        "event",
        {"door": "open", "by": {"user": 3}},
        None,
    )


@pytest.mark.parametrize(
    ("body", "topic", "device"),
    [
        ({"device": "a", "id": "b"}, "x", "a"),
        ({"deviceId": "a"}, "x", "a"),
        ({"device_id": 17}, "x", "17"),
        ({"id": "a"}, "x", "a"),
        ({"device": True}, TOPIC, "d1"),
        ({"device": ""}, TOPIC, "d1"),
        ({"device": "x" * 513}, TOPIC, "d1"),
        ({}, "fleet/devices/d2/up", "d2"),
        ({}, "site/s7/a/b", "s7"),
        ({}, "elsewhere", None),
        ({}, "devices", None),
    ],
)
def test_the_device_is_the_one_the_body_names_else_that_of_the_topic(
    body: dict[str, Any], topic: str, device: str | None
) -> None:
    assert decode(body, topic).device == device


def test_a_body_that_claims_another_device_than_its_topic_is_told_once() -> None:
    decoder = PayloadDecoder(STANDARD)

    claimed = [decoder.decode(TOPIC, b'{"device":"d9","temperature":1}', "e") for _ in range(3)]

    assert [message.device for message in claimed if message] == ["d9"] * 3
    assert len(decoder.take_notes()) == 1
    assert decoder.take_notes() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "online"}, "online"),
        ({"status": "Disconnected"}, "offline"),
        ({"status": "rebooting"}, None),
    ],
)
def test_a_status_is_a_state(body: dict[str, Any], status: str | None) -> None:
    message = decode(body)

    assert (message.kind, message.device_status, message.payload) == ("state", status, body)


def test_readings_with_a_status_are_telemetry_and_still_tell_the_status() -> None:
    message = decode({"temperature": 1, "status": "online"})

    assert (message.kind, message.device_status) == ("telemetry", "online")


@pytest.mark.parametrize(
    "body", [b"offline", b" OFFLINE\n", b'"offline"', b'{"state":"offline"}', b'{"online":false}']
)
def test_a_last_will_on_a_status_topic_sets_the_device_offline(body: bytes) -> None:
    message = decode(body, "devices/d1/status")

    assert (message.kind, message.device, message.device_status, message.error) == (
        "state",
        "d1",
        "offline",
        None,
    )


def test_the_status_topic_and_its_words_can_be_set() -> None:
    dialect = Dialect(status_online="up", status_offline="down")
    rules = TopicRules(("+/lwt2",), status_topic="+/lwt2")

    assert decode(b"down", "d1/lwt2", dialect, rules).device_status == "offline"
    assert decode(b"down", "d1/status", dialect, rules).error is not None


def test_a_bare_number_is_a_value_and_other_json_an_event() -> None:
    assert decode(b"21.5").payload == {"value": 21.5}
    assert (decode(b"[1,2]").kind, decode(b"[1,2]").payload) == ("event", [1, 2])
    assert (decode(b"null").payload, decode(b"null").raw) == (None, "null")


# Time


@pytest.mark.parametrize(
    "value",
    [
        1764000000,
        1764000000.0,
        1764000000000,
        "1764000000",
        "1764000000000",
        "2025-11-24T16:00:00Z",
        "2025-11-24T17:00:00+01:00",
        "2025-11-24 16:00:00",
    ],
)
def test_seconds_milliseconds_and_iso_8601_mean_the_same_moment(value: Any) -> None:
    message = decode({"temperature": 1, "timestamp": value})

    assert (message.observed_at, message.error) == ("2025-11-24T16:00:00+00:00", None)


@pytest.mark.parametrize(
    "value",
    ["yesterday", "", True, [1], {}, 0, 12345, -1, 9e15, 1e300, "9" * 400, time.time() + 2e5],
    ids=map(str, count()),
)
def test_an_unreadable_or_absurd_time_is_told_and_the_readings_are_kept(value: Any) -> None:
    message = decode({"temperature": 1, "ts": value})

    assert (message.observed_at, message.payload) == (None, {"temperature": 1})
    assert "timestamp" in (message.error or "")
    assert message.raw is not None


def test_a_time_may_have_a_form_of_its_own() -> None:
    assert parse_time("24.11.2025 16:00", "custom", "%d.%m.%Y %H:%M") == "2025-11-24T16:00:00+00:00"


# vmark and custom


def test_a_vmark_report_gives_its_paras_and_wants_an_answer() -> None:
    body = {
        "device": "h1",
        "handle": "properties_report",
        "paras": {"temp": 3, "mode": "a"},
        "time": "2025-01-02_03:04:05.678",
        "product": "p",
    }
    topic = "$sys/version/1.0.0/devices/h1/product/p/mac/m/dev_protocol/1/properties/up"

    message = decode(body, topic, Dialect("vmark"))

    assert (message.device, message.kind, message.payload) == ("h1", "telemetry", {"temp": 3, "mode": "a"})
    assert message.observed_at == "2025-01-02T03:04:05.678000+00:00"
    assert message.raw == orjson.dumps(body).decode()
    assert find_vmark_reply(topic, orjson.dumps(body)) == (f"{topic}_reply", b'{"result":0}')


@pytest.mark.parametrize(
    ("topic", "body"), [("a/up_reply", b'{"x":1}'), ("a/up", b'{"result":0}'), ("a/up_reply", b"not json")]
)
def test_vmark_answers_are_ignored(topic: str, body: bytes) -> None:
    assert PayloadDecoder(Dialect("vmark")).decode(topic, body, "e") is None
    assert find_vmark_reply(topic, body) is None


def test_custom_paths_find_device_readings_and_time() -> None:
    body = {"meta": {"dev": "c1", "at": "2025-11-24T16:00:00Z"}, "body": {"values": [{"a": 1}]}}

    message = decode(body, "x", CUSTOM)

    assert (message.device, message.payload) == ("c1", {"a": 1})
    assert message.observed_at == "2025-11-24T16:00:00+00:00"


def test_a_custom_path_that_leads_nowhere_is_told_and_the_body_kept() -> None:
    message = decode({"meta": {}}, TOPIC, CUSTOM)

    assert (message.kind, message.device, message.payload) == ("event", "d1", {"meta": {}})
    assert message.error == "Nothing is at telemetry_path 'body.values.0'."


def test_the_publishers_own_id_names_the_message_per_device() -> None:
    dialect = Dialect(event_id_path="meta.n")

    assert decode({"meta": {"n": 7}, "temperature": 1}, TOPIC, dialect).event_id == "d1:7"
    assert decode({"temperature": 1}, TOPIC, dialect).event_id == "e1"


def test_our_own_commands_are_ignored() -> None:
    decoder = PayloadDecoder(Dialect(), TopicRules(("devices/#",), own_filter="devices/+/commands/+"))

    assert decoder.decode("devices/d1/commands/reboot", b"{}", "e") is None
    assert decoder.decode("devices/d1/commands", b"{}", "e") is not None


# Bad bodies


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (b"hello", None, "Not JSON"),
        (b"", None, "empty"),
        (b"\xff\x00", "base64", "Not JSON"),
        (b"NaN", None, "Not JSON"),
        (b'{"temperature":Infinity}', None, "Not JSON"),
        (b'{"temperature":1e999}', None, "Not JSON"),
        (b'{"a":"\\ud800"}', None, "Not JSON"),
        (b'{"a":"\\u0000"}', None, "u0000"),
        (b'{"a\\u0000":1}', None, "u0000"),
        (b"[" * 101 + b"]" * 101, None, "nested"),
        (b"[" * 9999 + b"]" * 9999, None, "Not JSON"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_kept_raw_with_the_reason(
    body: bytes, encoding: str | None, words: str
) -> None:
    message = decode(body)

    assert (message.device, message.payload, message.raw_encoding) == ("d1", None, encoding)
    assert words in (message.error or "")


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert decode(b'{"a":"\\\\u0000"}').payload == {"a": "\\u0000"}


def test_a_body_over_the_limit_is_refused_with_its_beginning() -> None:
    message = decode(b'{"a":"' + "ü".encode() * MESSAGE_LIMIT)

    assert f"{2 * MESSAGE_LIMIT + 6:,} bytes" in (message.error or "")
    assert (message.raw or "").startswith('{"a":"üü')
    assert len(message.raw or "") < 1_024


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = st.sampled_from(
    ("device", "id", "timestamp", "ts", "time", "temperature", "status", "paras", "data", "handle")
)
BODIES = st.binary(max_size=80) | st.dictionaries(FIELDS, JSON, max_size=5).map(
    lambda value: (
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str) if _is_plain(value) else b"?"
    )
)


def _is_plain(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(
    BODIES, st.sampled_from((STANDARD, Dialect("vmark"), CUSTOM)), st.sampled_from((TOPIC, "a/status", "x"))
)
def test_no_body_raises_and_what_is_kept_is_json_the_database_takes(
    body: bytes, dialect: Dialect, topic: str
) -> None:
    message = PayloadDecoder(dialect, RULES if dialect is STANDARD else TopicRules()).decode(
        topic, body, "e1"
    )

    if message is not None:
        text = orjson.dumps(message)
        assert "\x00" not in (message.raw or "") + (message.device or "")
        assert b"\\u0000" not in orjson.dumps(message.payload).replace(b"\\\\u0000", b"")
        assert orjson.loads(text)["event_id"]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/b", "a/b/c", False),
        ("+", "", True),
        ("a/+", "a/", True),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, *, matches: bool) -> None:
    assert match_topic(topic_filter, topic) is matches
