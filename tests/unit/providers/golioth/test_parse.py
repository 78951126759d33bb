"""What Golioth pushes, as messages: captured requests, imitations, ids, times, and bodies that can't be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cbor2
import orjson
import pytest

from shared.provider import Message, PushedRequest, decode_raw
from shared.providers.golioth.cloud_events import EVENTS_LIMIT
from shared.providers.golioth.event_ids import SAME_SECONDS
from shared.providers.golioth.parse import parse_request
from shared.runtime.errors import Unauthenticated
from shared.runtime.exact_json import write_json
from tests.captures import Capture, read_captures

PROJECT, DEVICE = "acme-sensors", "65f0c1a2b3c4d5e6f7a8b9c0"
NOW = time.time()
ENVELOPE = {
    "data": {"temp": 32},
    "device_id": DEVICE,
    "project_id": PROJECT,
    "timestamp": {"nanos": 0, "seconds": 1_700_000_000},
}
HEADERS = {
    "ce-source": DEVICE,
    "ce-subject": PROJECT,
    "ce-type": "io.golioth.data.v1/.s/sensor",
    "content-type": "application/json",
}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def parse(body: Any, headers: dict[str, str] | None = None, now: float = NOW) -> list[Message]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return parse_request(PushedRequest(HEADERS if headers is None else headers, content), PROJECT, now)


def parse_one(body: Any, headers: dict[str, str] | None = None, now: float = NOW) -> Message:
    (message,) = parse(body, headers, now)
    return message


@pytest.mark.parametrize("capture", read_captures("golioth"), ids=lambda capture: capture.name)
def test_a_captured_request_is_the_messages_beside_it(capture: Capture) -> None:
    headers = {name.lower(): value for name, value in capture.headers.items()}

    messages = parse(capture.body, headers)

    told = [
        {field: getattr(message, field) for field in expected}
        for message, expected in zip(messages, capture.messages, strict=True)
    ]
    assert told == capture.messages


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"a": 1}, HEADERS | {"ce-subject": "other"}),
        (ENVELOPE | {"project_id": "other"}, HEADERS),
        (ENVELOPE | {"project_id": "other"}, {"content-type": "application/json"}),
        (
            ENVELOPE | {"project_id": "other"},
            HEADERS | {"ce-type": "DEVICE_STREAM_TYPE", "ce-subject": "stream"},
        ),
        ({"source": DEVICE, "subject": "other", "data": 1}, STRUCTURED),
        ([{"source": DEVICE, "subject": PROJECT, "data": 1}, {"subject": "other"}], BATCH),
    ],
)
def test_what_is_of_another_project_is_refused_whole(body: Any, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        parse(body, headers)


def test_without_a_subject_the_secret_alone_says_whose_it_is() -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "ce-subject"}

    assert parse_one({"a": 1}, headers).device == DEVICE


def test_a_device_cannot_speak_for_another_by_imitating_an_envelope() -> None:
    imitation = ENVELOPE | {"device_id": "victim"}

    message = parse_one(imitation)

    assert (message.device, message.payload) == (DEVICE, imitation)


def test_an_output_stream_without_its_envelope_is_kept_with_the_reason() -> None:
    message = parse_one({"temp": 1}, HEADERS | {"ce-type": "DEVICE_STREAM_TYPE", "ce-subject": "stream"})

    assert (message.device, message.payload, message.raw) == (None, None, '{"temp":1}')
    assert "Output Stream" in (message.error or "")


@pytest.mark.parametrize(
    ("timestamp", "observed_at"),
    [
        ({"seconds": "1700000000", "nanos": 123_456_789}, "2023-11-14T22:13:20.123456+00:00"),
        ({"seconds": 1_700_000_000}, "2023-11-14T22:13:20+00:00"),
        ("2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20.500000+00:00"),
        (1_700_000_000, "2023-11-14T22:13:20+00:00"),
    ],
)
def test_an_envelopes_time_is_read_in_every_spelling(timestamp: Any, observed_at: str) -> None:
    assert parse_one(ENVELOPE | {"timestamp": timestamp}).observed_at == observed_at


@pytest.mark.parametrize(
    "timestamp",
    [
        {},
        {"seconds": None},
        {"seconds": "x" * 9},
        {"seconds": 10**18},
        {"seconds": 1, "nanos": []},
        [],
        True,
        "now",
    ],
)
def test_a_time_that_is_none_leaves_the_time_of_arrival(timestamp: Any) -> None:
    message = parse_one(ENVELOPE | {"timestamp": timestamp})

    assert (message.observed_at, message.error, message.payload) == (None, None, {"temp": 32})
    assert "time of arrival" in (message.remark or "")


def test_a_retry_has_the_id_of_what_it_repeats() -> None:
    headers = HEADERS | {"ce-time": "2026-01-02T03:04:05Z"}
    first = parse_one({"a": 1}, headers).event_id

    assert parse_one({"a": 1}, headers, NOW + 9_999).event_id == first
    assert parse_one({"a": 2}, headers).event_id != first
    for name in ("ce-source", "ce-type", "ce-time"):
        assert parse_one({"a": 1}, headers | {name: "x"}).event_id != first


def test_an_id_names_the_event_with_its_source_unless_it_is_a_uuid() -> None:
    known = "0b5e5b7c-2f0a-4a52-8b9e-0c1d2e3f4a5b"

    assert parse_one({}, HEADERS | {"ce-id": "7"}).event_id == f"{DEVICE}/7"
    assert parse_one({}, HEADERS | {"ce-id": known}).event_id == known
    assert len(parse_one({}, HEADERS | {"ce-id": "x" * 5_000}).event_id) == 64


def test_equal_readings_without_id_and_time_are_one_for_five_minutes_only() -> None:
    begun = NOW // SAME_SECONDS * SAME_SECONDS

    ids = [parse_one({"a": 1}, now=begun + after).event_id for after in (0, SAME_SECONDS - 1, SAME_SECONDS)]

    assert (ids[0] == ids[1], ids[1] == ids[2]) == (True, False)
    assert parse_one(ENVELOPE, now=begun).event_id == parse_one(ENVELOPE, now=begun + SAME_SECONDS).event_id


@pytest.mark.parametrize(
    ("event_type", "kind", "topic"),
    [
        ("io.golioth.data.v1/.s/a/b", "telemetry", "a/b"),
        ("io.golioth.data.v1/.s", "telemetry", None),
        ("io.golioth.data.v1/.s/caf%C3%A9%00", "telemetry", "café\ufffd"),
        ("io.golioth.data.v1/.d/desired/led", "state", "desired/led"),
        ("io.golioth.data.v1/.x/a", "event", "io.golioth.data.v1/.x/a"),
        ("com.example.other", "event", "com.example.other"),
        ("", "telemetry", None),
    ],
)
def test_the_type_says_the_kind_and_the_path(event_type: str, kind: str, topic: str | None) -> None:
    message = parse_one({"a": 1}, HEADERS | {"ce-type": event_type})

    assert (message.kind, message.topic) == (kind, topic)


@pytest.mark.parametrize("source", ["", "x" * 513])
def test_a_source_that_is_no_devices_id_leaves_the_message_without_device(source: str) -> None:
    message = parse_one({"a": 1}, HEADERS | {"ce-source": source})

    assert (message.device, message.payload) == (None, {"a": 1})


def test_one_bad_event_does_not_spoil_its_batch() -> None:
    good = {"source": DEVICE, "type": "io.golioth.data.v1/.s/a", "data": {"a": 1}}
    bad = [
        7,
        [{"source": DEVICE, "data": "\x00"}],
        {"source": DEVICE, "data_base64": "%"},
        good | {"data_base64": 5},
    ]

    messages = parse([good, *bad, good | {"id": "2"}], BATCH)

    assert [message.error is None for message in messages] == [True, False, False, False, False, True]
    assert all(message.raw for message in messages[1:-1])


@pytest.mark.parametrize("levels", [100, 1_100])
@pytest.mark.parametrize("signed", [False, True])
def test_one_event_that_is_nested_too_deep_costs_no_other_of_its_batch(levels: int, signed: bool) -> None:  # noqa: FBT001 - a case of two
    event = ENVELOPE | {"source": DEVICE, "type": "io.golioth.data.v1/.s/a", "specversion": "1.0"}
    good = [orjson.dumps(event | {"id": f"{number}", "data": {"n": number}}) for number in range(9)]
    deep = orjson.dumps(event | {"id": "9", "data": "here"})
    deep = deep.replace(b'"here"', b"[" * levels + b"]" * levels)
    body = b"[" + b",".join([*good[:4], deep, *good[4:]]) + b"]"

    messages = parse_signed(body) if signed else parse(body, BATCH)

    assert [each.payload for each in messages if not each.error] == [{"n": number} for number in range(9)]
    assert [each.raw for each in messages if each.error] == [deep.decode()]


@pytest.mark.parametrize("body", [b"", b"{", {"a": 1}, [{}] * (EVENTS_LIMIT + 1), b"[" * 150 + b"]" * 150])
def test_a_batch_that_is_none_is_kept_whole(body: Any) -> None:
    message = parse_one(body, BATCH)

    assert message.error
    assert message.payload is None
    assert (message.raw or "").encode() == (body if isinstance(body, bytes) else orjson.dumps(body))


@pytest.mark.parametrize("write", [orjson.dumps, cbor2.dumps])
def test_an_envelope_with_what_can_not_be_kept_is_mended_and_kept_as_it_came_too(
    write: Callable[[Any], bytes],
) -> None:
    kind = "application/json" if write is orjson.dumps else "application/cbor"
    content = write(ENVELOPE | {"data": {"a\x00b": 1}})

    message = parse_one(content, {"content-type": kind})

    assert (message.payload, decode_raw(message.raw or "", message.raw_encoding)) == (
        {"a\ufffdb": 1},
        content,
    )
    assert (message.device, message.error) == (ENVELOPE["device_id"], None)
    assert message.remark


def test_a_mended_event_keeps_what_came_and_events_of_a_mended_batch_claim_no_more_than_they_have() -> None:
    event = b'{"source":"d1","data":{"t":NaN,"h":40}}'

    (alone,) = parse(event, STRUCTURED)
    (among,) = parse(b"[" + event + b"]", BATCH)

    assert (alone.payload, alone.raw, among.payload) == ({"t": None, "h": 40}, event.decode(), alone.payload)
    assert "raw has" in (alone.remark or "")
    assert among.remark
    assert "raw has" not in among.remark


def test_of_a_batch_only_the_event_with_nul_characters_is_marked() -> None:
    events = [{"source": DEVICE, "data": {"a": data}} for data in ("b", "\x00", 89014103211118510720)]

    messages = parse(write_json(events), BATCH)

    assert [message.payload for message in messages] == [
        {"a": "b"},
        {"a": "\ufffd"},
        {"a": 89014103211118510720},
    ]
    assert [message.remark is None for message in messages] == [True, False, True]
    assert orjson.loads(messages[1].raw or "") == events[1]


def test_data_in_base64_is_read_by_its_own_type() -> None:
    content = {"datacontenttype": "application/cbor", "data_base64": "oWFhAQ=="}

    message = parse_one({"source": DEVICE} | content, STRUCTURED)

    assert (message.payload, message.raw, message.raw_encoding) == ({"a": 1}, "oWFhAQ==", "base64")


def test_an_event_without_data_is_kept_as_it_came() -> None:
    message = parse_one({"source": DEVICE, "id": "1"}, STRUCTURED)

    assert (message.payload, message.error, orjson.loads(message.raw or "")) == (
        None,
        None,
        {"source": DEVICE, "id": "1"},
    )


EVENT = {
    "specversion": "1.0",
    "id": "7",
    "source": DEVICE,
    "type": "io.golioth.data.v1/.s/a",
    "subject": PROJECT,
}


def parse_signed(body: Any, now: float = NOW, **headers: str) -> list[Message]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_request(PushedRequest(named, content, is_signed=True), PROJECT, now)


@pytest.mark.parametrize(
    ("body", "devices"),
    [
        (ENVELOPE, [DEVICE]),
        (EVENT | {"data": {"a": 1}}, [DEVICE]),
        ([EVENT | {"data": 1}, 7, EVENT | {"id": "8", "source": "other"}], [DEVICE, None, "other"]),
        ({"a": 1}, [None]),
        ({"source": DEVICE, "data": {"a": 1}}, [None]),
        ([{"a": 1}], [None]),
        (b"\xff\x00", [None]),
        (b"", [None]),
    ],
)
def test_a_signed_body_is_an_event_where_it_says_so_itself(body: Any, devices: list[str | None]) -> None:
    assert [message.device for message in parse_signed(body)] == devices


@pytest.mark.parametrize("body", [ENVELOPE | {"project_id": "other"}, EVENT | {"subject": "other"}])
def test_a_signed_event_of_another_project_is_refused(body: Any) -> None:
    with pytest.raises(Unauthenticated):
        parse_signed(body)


@pytest.mark.parametrize("body", [ENVELOPE, EVENT | {"data": 1}, {"a": 1}, b"\xff"])
@pytest.mark.parametrize(
    "headers", [{}, {"webhook_id": "msg_1", "webhook_timestamp": "1"}, {"x_webhook_timestamp": str(int(NOW))}]
)
def test_a_copy_of_a_signed_request_has_the_id_of_what_it_copies(body: Any, headers: dict[str, str]) -> None:
    ids = {parse_signed(body, NOW + after, **headers)[0].event_id for after in (0, SAME_SECONDS, 86_400)}

    assert len(ids) == 1


def test_equal_readings_of_different_signed_requests_are_two() -> None:
    by_id = {parse_signed({"a": 1}, webhook_id=name)[0].event_id for name in ("msg_1", "msg_2")}
    by_time = {
        parse_signed({"a": 1}, x_webhook_timestamp=str(int(NOW) + after))[0].event_id
        for after in (0, SAME_SECONDS)
    }

    assert (len(by_id), len(by_time)) == (2, 2)
