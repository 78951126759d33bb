"""What was posted, as messages: the path and the query are the topic, the body is a codec's or JSON of some form.

A device that posts with its own token speaks for itself alone, whatever its body says. What is sent again has the same
event id: by the header Idempotency-Key or webhook-id, else by its content, for a minute.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from shared.provider import (
    CodedBody,
    Message,
    OwnTopic,
    PushedRequest,
    decode_body,
    name_own_event,
    read_media_type,
    trim_topic,
    write_json,
)

if TYPE_CHECKING:
    from shared.providers.http import Http

SAME_SECONDS = 60
"""Two equal bodies to one address without a name of their own are one message within so long."""

TOPIC_LIMIT, DEVICE_LIMIT = 1_024, 512
NAME_LIMIT = 1_000
NAMES = ("idempotency-key", "webhook-id", "svix-id")
FORM, CBOR = "application/x-www-form-urlencoded", "application/cbor"


def parse_request(http: Http, request: PushedRequest, now: float) -> list[Message]:
    """The messages in a proven request; `now` is Unix time."""
    topic, device = _read_topic(request), _find_device(http, request)
    event_id = _name_request(request, topic, now)
    if http.codec:
        known = Message(event_id, device, topic=topic or None)
        owner = request.device
        (messages,) = http.decode_pushed([CodedBody(request.body, known, owner=owner)])
        return messages
    decoder = http.make_decoder(OwnTopic(device=device), is_owned=request.device is not None)
    message = decoder.decode(topic, _read_body(request), event_id)
    return [message] if message else []


def _read_topic(request: PushedRequest) -> str:
    topic = f"{request.path}?{request.query_string}" if request.query_string else request.path
    try:
        return trim_topic(topic)[:TOPIC_LIMIT] if topic else ""
    except ValueError:
        return ""


def _find_device(http: Http, request: PushedRequest) -> str | None:
    if request.device:
        return request.device
    named = request.query.get(http.device_parameter, [""])[0] if http.device_parameter else ""
    if named.strip() and len(named) <= DEVICE_LIMIT and "\0" not in named:
        return named
    return http.topic_rules.read(request.path).device


def _name_request(request: PushedRequest, topic: str, now: float) -> str:
    given = next((name for name in map(request.headers.get, NAMES) if name), None)
    named = (
        given and len(given) <= NAME_LIMIT and given.isprintable() and name_own_event(request.device, given)
    )
    if named:
        return f"push:{named}"
    parts = (request.device or "", topic, str(int(now // SAME_SECONDS)))
    return hashlib.sha256("\0".join(parts).encode() + b"\0" + request.body).hexdigest()


def _read_body(request: PushedRequest) -> bytes:
    """The body as JSON, where it is in a form that has one meaning as such."""
    media_type = read_media_type(request.headers.get("content-type", ""))
    if media_type == FORM:
        pairs = parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
        return write_json(dict(pairs)) if pairs else request.body
    if media_type == CBOR or media_type.endswith("+cbor"):
        decoded = decode_body(media_type, request.body)
        return request.body if decoded.error else write_json(decoded.payload)
    return request.body
