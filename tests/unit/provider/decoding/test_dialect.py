"""The payload dialects: what is read from bodies devices really send, and that no body ever raises."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

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
    decode_raw,
    find_vmark_reply,
    parse_time,
)
from shared.provider.decoding.topics import match_topic
from shared.runtime.exact_json import write_json

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
        topic, body if isinstance(body, bytes) else write_json(body), "e1"
    )
    assert message is not None
    return message


# Standard


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"temperature": 21.5, "co2": 400, "door": "open"}, "telemetry"),
        ({"temperature": 21.5, "battery_level": 80, "color": "red", "seq": 7}, "telemetry"),
        ({"co2": 400, "id": 9, "ts": 1764000000, "time": 5, "on": True, "name": "x"}, "telemetry"),
        ({"temperature": " -21.5", "humidity": "wet"}, "telemetry"),
        ({"temperature": 21.5, "nested": {"a": [1, None]}, "humidity": "40"}, "telemetry"),
        ({"id": 9, "ts": 1764000000, "time": 5, "humidity": "wet"}, "event"),
        ({}, "event"),
    ],
)
def test_the_payload_is_the_whole_object_whatever_is_recognised_in_it(
    body: dict[str, Any], kind: str
) -> None:
    message = decode(body)

    assert (message.kind, message.payload, message.raw) == (kind, body, None)
    assert (message.error, message.remark) == (None, None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"Time": "2026-11-29T13:14:15", "DS18B20": {"Id": "01", "Temperature": 21.5}}, "telemetry"),
        (
            {"method": "NotifyStatus", "params": {"ts": 1.5, "switch:0": {"id": 0, "current": 0.1}}},
            "telemetry",
        ),
        ({"uplink": {"gateways": [{"id": "g", "rssi": -50}]}}, "telemetry"),
        ({"sensors": [[{"humidity": "40"}]]}, "telemetry"),
        ({"method": "NotifyEvent", "params": {"events": [{"event": "btn_up", "id": 0, "ts": 1.5}]}}, "event"),
        ({"humidity": {"text": "wet"}, "status": "fine"}, "state"),
    ],
)
def test_known_readings_make_telemetry_also_where_a_device_groups_them(
    body: dict[str, Any], kind: str
) -> None:
    assert (decode(body).kind, decode(body).payload) == (kind, body)


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
        ({"id": 0, "apower": 3.1}, "x", "0"),
        ({"id": 0, "apower": 3.1}, TOPIC, "d1"),
        ({"id": "a"}, "site/s7/a/b", "s7"),
        ({"device": {"model": "S"}, "deviceId": "a"}, TOPIC, "a"),
        ({"device": None, "deviceId": [], "device_id": "a", "id": "b"}, "x", "a"),
        ({"device": {"id": "b"}, "id": "a"}, "x", "a"),
        ({"device": 10**30}, "x", "1" + "0" * 30),
        ({"device": True}, TOPIC, "d1"),
        ({"device": ""}, TOPIC, "d1"),
        ({"device": " ", "deviceId": "a"}, TOPIC, "a"),
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
    message = decode(body, "devices/d1/status")

    assert (message.kind, message.device_status, message.payload) == ("state", status, body)


@pytest.mark.parametrize("topic", ["shellies/d1/online", "tele/d1/LWT", "d1/availability"])
def test_the_last_level_tells_a_status_topic(topic: str) -> None:
    assert decode(b"false", topic).device_status == "offline"


def test_a_status_is_decoded_though_nothing_is_at_the_paths_of_readings() -> None:
    message = decode({"status": "offline"}, "devices/d1/status", CUSTOM)

    assert (message.kind, message.device_status, message.error) == ("state", "offline", None)
    assert decode({"status": "fine"}, "devices/d1/status", CUSTOM).error is not None


def test_readings_with_a_status_are_telemetry_and_still_tell_the_status() -> None:
    message = decode({"temperature": 1, "status": "online"}, "devices/d1/status")

    assert (message.kind, message.device_status) == ("telemetry", "online")


@pytest.mark.parametrize(
    "body",
    [
        {"status": "disconnected", "power": 0},
        {"status": False},
        {"status": "offline"},
        {"status": 0},
        {"online": False, "temperature": 1},
        False,
        0,
        "offline",
    ],
)
def test_a_status_elsewhere_than_on_a_status_topic_takes_no_device_offline(body: Any) -> None:
    message = decode(body)

    assert (message.device, message.device_status, message.error) == ("d1", None, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"false", "offline"),
        (b"0", "offline"),
        (b'"0"', "offline"),
        (b"true", "online"),
        (b"1", "online"),
        (b'{"status":false}', "offline"),
        (b'{"status":1}', "online"),
        (b'{"status":null,"online":0}', "offline"),
        (b'{"status":"fine","state":"disconnected"}', "offline"),
        (b"offline\0\0", "offline"),
        (b"\xef\xbb\xbfonline", "online"),
        (b"null", None),
        (b"2", None),
        (b"[false]", None),
        (b'"rebooting"', None),
    ],
)
def test_a_last_will_may_be_any_scalar_that_says_yes_or_no(body: bytes, status: str | None) -> None:
    message = decode(body, "devices/d1/status")

    assert (message.device_status, message.error) == (status, None)
    assert status is None or message.kind == "state"


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
        1764000000000000,
        1764000000000000000,
        "1764000000000000000",
        " 1764000000 ",
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
    ["yesterday", "", True, [1], {}, 0, 37, 12345, -1, 9e15, 1e300, "9" * 400, time.time() + 2e5],
    ids=map(str, count()),
)
def test_an_unreadable_or_absurd_time_is_told_and_the_readings_are_kept(value: Any) -> None:
    message = decode({"temperature": 1, "ts": value})

    assert (message.observed_at, message.payload) == (None, {"temperature": 1, "ts": value})
    assert "timestamp" in (message.remark or "")
    assert message.error is None


def test_a_device_is_believed_by_none_but_the_database_while_our_own_clock_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 2 * 86_400)

    message = decode({"temperature": 1, "ts": now})

    assert (message.observed_at, message.error) == (None, None)
    assert message.remark is not None


def test_a_time_that_cannot_be_believed_hides_no_other() -> None:
    message = decode({"temperature": 1, "timestamp": "N/A", "ts": 1764000000})

    assert (message.observed_at, message.remark) == ("2025-11-24T16:00:00+00:00", None)


@pytest.mark.parametrize(
    ("value", "dialect"),
    [
        ("2025-11-24 17:00:00", Dialect(timestamp_timezone=ZoneInfo("Europe/Berlin"))),
        ("2025-11-24T16:00:00Z", Dialect(timestamp_timezone=ZoneInfo("Europe/Berlin"))),
        (1764000000, Dialect(timestamp_timezone=ZoneInfo("Europe/Berlin"))),
        ("2025-11-24 21:30:00", Dialect(timestamp_timezone=ZoneInfo("Asia/Kolkata"))),
    ],
)
def test_a_time_without_a_zone_is_in_the_zone_that_is_set(value: Any, dialect: Dialect) -> None:
    assert decode({"timestamp": value}, TOPIC, dialect).observed_at == "2025-11-24T16:00:00+00:00"


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-10-26_02:30:00.000", "2025-10-26T00:30:00+00:00"),
        ("2025-03-30_02:30:00.000", "2025-03-30T01:30:00+00:00"),
    ],
)
def test_an_hour_that_clocks_show_twice_is_the_first_and_one_they_skip_is_read_too(
    local: str, utc: str
) -> None:
    assert parse_time(local, "vmark", timezone=ZoneInfo("Europe/Berlin")) == utc


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
    assert decode({"meta": {"n": 7.0}}, TOPIC, dialect).event_id == "d1:7"
    assert decode({"meta": {"n": 1631186545.04}}, TOPIC, dialect).event_id == "d1:1631186545.04"
    assert decode({"temperature": 1}, TOPIC, dialect).event_id == "e1"
    assert decode({"meta": {"n": True}}, TOPIC, dialect).event_id == "e1"


def test_ids_of_devices_and_messages_are_joined_so_that_no_two_pairs_are_one() -> None:
    dialect = Dialect(event_id_path="n")
    pairs = [
        ("00:11", "22:1"),
        ("00", "11:22:1"),
        ("00:11:22", "1"),
        ("00%3A11", "22:1"),
        ("", ":"),
        ("00", 1),
    ]

    ids = {decode({"device": device, "n": own}, "x", dialect).event_id for device, own in pairs}

    assert len(ids) == len(pairs)


def test_a_body_may_be_said_to_name_no_device_or_where_in_any_dialect() -> None:
    body = {"device": "a", "src": {"plug": "p1"}, "id": 0}

    assert decode(body, TOPIC, Dialect(device_id_path=""), RULES).device == "d1"
    assert decode(body, "elsewhere", Dialect(device_id_path=""), RULES).device is None
    assert decode(body, "elsewhere", Dialect(device_id_path="src.plug"), RULES).device == "p1"
    assert decode(body, TOPIC, Dialect(device_id_path="src"), RULES).device == "d1"


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
        (b'{"temperature":1e999}', None, "Not JSON"),
        (b'{"temperature":' + b"9" * 400 + b"}", None, "Not JSON"),
        (b'"\xb0C"', "base64", "Not JSON"),
        (b'{"a":NaN', None, "Not JSON"),
        (b'{"a":nano}', None, "Not JSON"),
        (b'{"a":NaN,"b":"' + b"x" * 40_000 + b'"}', None, "Not JSON"),
        (b'\xef\xbb\xbf{"a":', None, "Not JSON"),
        (b"\0\0", "base64", "Not JSON"),
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


@pytest.mark.parametrize(
    ("body", "payload", "encoding"),
    [
        (b'{"temperature":1,"a":"\\u0000b"}', {"temperature": 1, "a": "\ufffdb"}, None),
        (b'{"a\\u0000":1,"b":"\\\\\\u0000\\u0000"}', {"a\ufffd": 1, "b": "\\\ufffd\ufffd"}, None),
        (b'\xef\xbb\xbf{"temperature":1}', {"temperature": 1}, None),
        (b'{"temperature":1}\0', {"temperature": 1}, "base64"),
        (b'{"temperature":1}\0\0rest of a buffer', {"temperature": 1}, "base64"),
        (b'\xef\xbb\xbf{"a":"\\u0000"}\0', {"a": "\ufffd"}, "base64"),
        (b'{"name":"ab\0\0","a":1}', {"name": "ab\ufffd\ufffd", "a": 1}, "base64"),
        ('{"a":"ü"}'.encode("utf-16"), {"a": "ü"}, "base64"),
        (b'{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}, None),
        (b'{"at":"10:20","x":{"a" :1,"a":2}}', {"at": "10:20", "x": {"a": 2}}, None),
        (b'{"n":"\\u0022:","b":1,"b":2}', {"n": '":', "b": 2}, None),
        (b'{"humidity":40,"temperature":NaN}', {"humidity": 40, "temperature": None}, None),
        (
            b'{"a":[nan,-nan,inf,-Infinity,+INF],"b":"nan, inf"}',
            {"a": [None] * 5, "b": "nan, inf"},
            None,
        ),
        (b'{"unit":"\xb0C","t":21.5}', {"unit": "\ufffdC", "t": 21.5}, "base64"),
        (b'{"t":21.5}\xff\xff\xff\xff', {"t": 21.5}, "base64"),
        (
            b'{"a":"\\ud83d","b":"\\ud83d\\ude00","c":"\\\\ud83d"}',
            {"a": "\ufffd", "b": "😀", "c": "\\ud83d"},
            None,
        ),
        (b'{"log":"one\ntwo\tthree\x1b","a":1}', {"log": "one\ntwo\tthree\x1b", "a": 1}, None),
        (b'\xef\xbb\xbf[{"t":NaN}]\0', [{"t": None}], "base64"),
    ],
)
def test_what_little_is_wrong_with_is_mended_marked_and_kept_raw(
    body: bytes, payload: Any, encoding: str | None
) -> None:
    message = decode(body)

    assert (message.payload, message.error, message.raw_encoding) == (payload, None, encoding)
    assert message.remark is not None
    assert decode_raw(message.raw or "", message.raw_encoding) == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"iccid":89014103211118510720}',
        b'{"card":[{"n":-99999999999999999999999}],"t":"2025-01-01T00:00:00Z"}',
        b'{"a":18446744073709551616,"b":1.5,"c":true}',
    ],
)
def test_a_whole_number_of_any_size_is_kept_to_its_last_digit(body: bytes) -> None:
    message = decode(body)

    assert message.payload == json.loads(body)
    assert json.loads(write_json(message))["payload"] == json.loads(body)


@given(
    st.dictionaries(
        st.text(max_size=9), st.text(max_size=30) | st.integers() | st.lists(st.booleans()), max_size=9
    ),
    st.sampled_from((b"NaN", b"-inf", b'"\\ud83d"', b'"\xb0"', b'"\x07"')),
)
def test_of_a_reading_of_which_one_value_is_mended_every_other_is_what_it_was(
    document: dict[str, Any], broken: bytes
) -> None:
    document.pop("x", None)
    body = write_json(document)[:-1] + (b"," if document else b"") + b'"x":' + broken + b"}"

    message = decode(body)

    payload = dict(message.payload)
    assert payload.pop("x", None) in {None, "\ufffd", "\x07"}
    assert payload == json.loads(write_json(document).replace(b"\\u0000", b"\\ufffd"))
    assert message.remark


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
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)
        if _is_plain(value)
        else json.dumps(value).encode(errors="replace")
    )
)


def _is_plain(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@settings(max_examples=300)
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
        text = write_json(message)
        assert "\x00" not in (message.raw or "") + (message.device or "")
        assert b"\\u0000" not in write_json(message.payload).replace(b"\\\\u0000", b"")
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
