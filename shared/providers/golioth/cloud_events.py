"""CloudEvents in a pushed request: binary, structured or batched, as its body or its headers say.

Source: CloudEvents 1.0.2, its HTTP binding. Of a signed request only the body is proven: it is a CloudEvent where it
has what one must have, and what it does not name itself has no device, path or time.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

from shared.provider import (
    REPLACED,
    DecodedBody,
    Document,
    Object,
    PushedRequest,
    decode_body,
    read_document,
    read_json,
    read_media_type,
    read_parts,
    replace_nul,
    write_json,
)

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
REQUIRED = frozenset(("specversion", "id", "source", "type"))
"""What every CloudEvent has."""

NOT_AN_EVENT = "Not a CloudEvent:"
EVENTS_LIMIT = 1_000
"""Events of one batch; one that holds more is kept as it came."""


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


def read_events(request: PushedRequest) -> list[CloudEvent]:
    """The events of a proven request; what can't be read is one with its error."""
    document = read_document(request.body) if request.is_signed else None
    media_type = _find_form(request.body, document) if document else _read_form(request)
    if media_type in {STRUCTURED, BATCH}:
        document = document or read_document(request.body)
        return _read_structured(request.body, document, batch=media_type == BATCH)
    return [_read_binary(request)]


def _read_form(request: PushedRequest) -> str:
    return read_media_type(request.headers.get("content-type", ""))


def _find_form(content: bytes, read: Document) -> str:
    """The media type of a body that is one CloudEvent or several, by what it holds; else nothing."""
    document, _, error = read
    if error:
        document = [each.document for each in read_parts(content).items]
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
    return replace_nul(unquote(value))


def _read_structured(content: bytes, read: Document, *, batch: bool) -> list[CloudEvent]:
    document, remark, error = read
    if error:
        return _read_apart(content, error) if batch else [_keep_whole(content, f"{NOT_AN_EVENT} {error}")]
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


def _read_apart(content: bytes, error: str) -> list[CloudEvent]:
    """Each event of a batch that can't be read as a whole for itself."""
    parts = read_parts(content).items
    if not 0 < len(parts) <= EVENTS_LIMIT:
        return [_keep_whole(content, f"{NOT_AN_EVENT} {error}")]
    return [
        _keep_whole(each.body, f"{NOT_AN_EVENT} {each.error}")
        if each.error
        else _read_event(each.document, None, each.body)
        for each in parts
    ]


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
