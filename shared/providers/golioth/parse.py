"""What Golioth pushes, as messages: CloudEvents, and the forms around them.

Source: Golioth's documentation of the `webhook` destination and of the removed Output Streams. A pipeline may add
`inject-metadata`, whose envelope is recognised. What can't be decoded is a message with its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, cast

from pydantic import JsonValue

from shared.provider import (
    CodedBody,
    DecodedBody,
    Kind,
    Message,
    PushedRequest,
    Unauthenticated,
    choose_time,
    encode_raw,
    parse_time,
    write_json,
)
from shared.providers.golioth.cloud_events import CloudEvent, read_events
from shared.providers.golioth.event_ids import name_occasion, name_pushed

LEGACY_TYPE = "DEVICE_STREAM_TYPE"
"""Output Streams: its source is Golioth's gateway and its subject `stream`; the envelope says the rest."""

NOT_LEGACY = "Not an Output Stream's message, which has data, device_id, project_id and timestamp."
TYPE_PREFIX = "io.golioth.data.v1/"
KINDS: dict[str, Kind] = {".s": "telemetry", ".d": "state", "logs": "log"}
DEVICE_LIMIT, TOPIC_LIMIT = 512, 1_024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Envelope(TypedDict):
    """What stands around a device's own data."""

    data: JsonValue
    device_id: str
    project_id: str
    timestamp: object


DecodeBodies = Callable[[Sequence[CodedBody]], list[list[Message]]]


def parse_request(
    request: PushedRequest, project_id: str, now: float, decode: DecodeBodies | None = None
) -> list[Message]:
    """The messages in a proven request; Unauthenticated where it is of another project. `now` is Unix time.

    `decode`, where there is a codec, decodes what devices sent.
    """
    events = read_events(request)
    occasion = name_occasion(request, now)
    if decode is None:
        return [_make_message(event, project_id, occasion) for event in events]
    coded = [_make_coded(event, project_id, occasion) for event in events]
    return [message for messages in decode(coded) for message in messages]


def _make_coded(event: CloudEvent, project_id: str, occasion: str) -> CodedBody:
    """What a codec is given: the device's own data, in the envelope as JSON, else as they came."""
    known = _make_message(event, project_id, occasion)
    envelope = _find_envelope(event)
    body = write_json(envelope["data"]) if envelope else event.content
    kind = known.kind if event.type.startswith(TYPE_PREFIX) else None
    return CodedBody(body, known, kind)


def _make_message(event: CloudEvent, project_id: str, occasion: str) -> Message:
    envelope, legacy = _find_envelope(event), event.type == LEGACY_TYPE
    _check_project("" if legacy else event.subject, envelope, project_id)
    device, body = "" if legacy else event.source, event.body
    if envelope:
        device, body = envelope["device_id"], DecodedBody(envelope["data"], event.content, None, body.remark)
    elif legacy and body.error is None:
        body = DecodedBody(None, event.content, NOT_LEGACY)
    kind, topic = _read_type(event.type)
    moment = event.time or ("" if envelope else occasion)
    event_id = name_pushed(event.id, event.source, event.type, moment, event.content)
    device_id = device if device.strip() and len(device) <= DEVICE_LIMIT else None
    times = (envelope["timestamp"] if envelope else None, event.time or None)
    observed_at, doubt = choose_time(times, _read_time)
    if body.error:
        kept = Message.undecoded(
            body.raw or b"", body.error, event_id=event_id, device=device_id, topic=topic
        )
        return replace(kept, observed_at=observed_at)
    raw, raw_encoding = (None, None) if body.raw is None else encode_raw(body.raw)
    message = Message(event_id, device_id, kind, topic, body.payload, raw, raw_encoding, observed_at)
    return replace(message, remark=" ".join(filter(None, (body.remark, doubt))) or None)


def _find_envelope(event: CloudEvent) -> Envelope | None:
    """What `inject-metadata` and Output Streams put around the data; no device's own imitation of it.

    Where Golioth names the source in a header, the envelope has to agree: a device may send what it likes.
    """
    document = event.body.payload
    if not isinstance(document, dict) or document.keys() != Envelope.__required_keys__:
        return None
    if not isinstance(document["device_id"], str) or not isinstance(document["project_id"], str):
        return None
    if event.type != LEGACY_TYPE and event.source not in {"", document["device_id"]}:
        return None
    return cast("Envelope", document)


def _check_project(subject: str, envelope: Envelope | None, project_id: str) -> None:
    named = {subject, envelope["project_id"] if envelope else ""} - {""}
    if named - {project_id}:
        raise Unauthenticated("The event is of another project than project_id.")


def _read_type(event_type: str) -> tuple[Kind, str | None]:
    """The kind, and the path as the topic: `io.golioth.data.v1/.s/sensor/a` is telemetry on `sensor/a`."""
    if event_type in {"", LEGACY_TYPE}:
        return "telemetry", None
    head, _, path = event_type.removeprefix(TYPE_PREFIX).partition("/")
    kind = KINDS.get(head) if event_type.startswith(TYPE_PREFIX) else None
    topic = path if kind else event_type
    return kind or "event", topic[:TOPIC_LIMIT] or None


def _read_time(value: Any) -> str:
    """ISO 8601 to the microsecond; ValueError where it is no time that can be believed."""
    try:
        return parse_time(_spell_time(value))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ValueError(
            "The timestamp is no time that can be believed; the time of arrival is used."
        ) from None


def _spell_time(value: Any) -> Any:
    """ISO 8601 for `{seconds, nanos}`, anything else as it is."""
    if not isinstance(value, dict):
        return value
    seconds, nanos = int(value["seconds"]), int(value.get("nanos", 0))
    return (_EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)).isoformat()
