"""What Golioth pushes, as messages: CloudEvents in binary, structured and batched form, and the forms around them.

Source: Golioth's documentation of the `webhook` destination and of the removed Output Streams; CloudEvents 1.0.2. A
pipeline may add `inject-metadata`, whose envelope is recognised. What can't be decoded is a message with its error.

Of a signed request only the body is proven: it is a CloudEvent where it has what one must have, and what it does not
name itself has no device, path or time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, cast
from urllib.parse import unquote

from pydantic import JsonValue

from shared.provider import (
    REPLACED,
    CodedBody,
    DecodedBody,
    Document,
    Kind,
    Message,
    PushedRequest,
    Unauthenticated,
    choose_time,
    decode_body,
    encode_raw,
    parse_time,
    read_document,
    read_json,
    read_media_type,
    write_json,
)
from shared.providers.golioth.event_ids import name_occasion, name_pushed
from shared.providers.golioth.values import Object

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
LEGACY_TYPE = "DEVICE_STREAM_TYPE"
"""Output Streams: its source is Golioth's gateway and its subject `stream`; the envelope says the rest."""

NOT_LEGACY = "Not an Output Stream's message, which has data, device_id, project_id and timestamp."
TYPE_PREFIX = "io.golioth.data.v1/"
KINDS: dict[str, Kind] = {".s": "telemetry", ".d": "state", "logs": "log"}
REQUIRED = frozenset(("specversion", "id", "source", "type"))
"""What every CloudEvent has."""

EVENTS_LIMIT = 1_000
"""Events of one batch; one that holds more is kept as it came."""

DEVICE_LIMIT, TOPIC_LIMIT = 512, 1_024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event: `content` is its data as it came, the texts are empty where absent."""

    body: DecodedBody
    content: bytes
    id: str = ""
    source: str = ""
    type: str = ""
    subject: str = ""
    time: str = ""


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
    document = read_document(request.body) if request.is_signed else None
    media_type = _find_form(document[0]) if document else _read_form(request)
    if media_type in {STRUCTURED, BATCH}:
        document = document or read_document(request.body)
        events = _read_structured(request.body, document, batch=media_type == BATCH)
    else:
        events = [_read_binary(request)]
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


def _read_form(request: PushedRequest) -> str:
    return read_media_type(request.headers.get("content-type", ""))


def _find_form(document: Any) -> str:
    """The media type of a body that is one CloudEvent or several, by what it holds; else nothing."""
    if isinstance(document, list):
        return BATCH if any(map(_is_event, document)) else ""
    return STRUCTURED if _is_event(document) else ""


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= REQUIRED


def _read_binary(request: PushedRequest) -> CloudEvent:
    names = ("id", "source", "type", "subject", "time")
    attributes = {name: _read_header(request.headers.get(f"ce-{name}", "")) for name in names}
    body = decode_body(request.headers.get("content-type", ""), request.body)
    return CloudEvent(body, request.body, **attributes)


def _read_header(value: str) -> str:
    """CloudEvents' HTTP binding percent-encodes what a header can't carry."""
    return unquote(value).replace("\x00", "\ufffd")


def _read_structured(content: bytes, read: Document, *, batch: bool) -> list[CloudEvent]:
    document, remark, error = read
    if error:
        return [_keep_whole(content, f"Not a CloudEvent: {error}")]
    if remark == REPLACED and b"\x00" not in content:
        # Which of the events has them is found by looking at each.
        document, remark = read_json(content), None
    if not batch:
        return [_read_event(document, remark, content)]
    if not isinstance(document, list) or len(document) > EVENTS_LIMIT:
        return [_keep_whole(content, f"Not a list of at most {EVENTS_LIMIT} CloudEvents.")]
    # What was mended was mended in all of them: each keeps itself, as it was read then.
    told = remark and f"{remark.partition(';')[0]}."
    return [_read_event(event, told, write_json(event)) for event in document]


def _read_event(event: Any, told: str | None, content: bytes) -> CloudEvent:
    event, remark, _ = read_document(write_json(event))
    if not isinstance(event, dict):
        return _keep_whole(content, "Not a CloudEvent, which is an object.")
    attributes = {name: _read_text(event.get(name)) for name in ("id", "source", "type", "subject", "time")}
    body, data = _read_data(event, content, remark or told)
    return CloudEvent(body, data, **attributes)


def _read_data(event: Object, content: bytes, remark: str | None) -> tuple[DecodedBody, bytes]:
    if "data_base64" in event:
        try:
            data = base64.b64decode(cast("str", event["data_base64"]), validate=True)
        except (ValueError, TypeError):
            return DecodedBody(None, content, "The event's data_base64 is not base64."), content
        return decode_body(_read_text(event.get("datacontenttype")), data), data
    if "data" not in event:
        return DecodedBody(None, content, None, remark), content
    data = write_json(event["data"])
    raw = content if remark else data if event["data"] is None else None
    return DecodedBody(event["data"], raw, None, remark), data


def _read_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _keep_whole(content: bytes, reason: str) -> CloudEvent:
    return CloudEvent(DecodedBody(None, content, reason), content)


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
