"""What Particle's webhooks push, as messages: what devices publish, and what the cloud says of them.

A device sends again what was not acknowledged, as another event: only an id of its own in the payload tells it apart.
What can't be decoded is a message with its error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.provider import (
    CodedBody,
    Message,
    PushedRequest,
    StoredBody,
    choose_time,
    encode_raw,
    find_path,
    judge_kind,
    name_own_event,
    parse_time,
    read_document,
    replace_nul,
    write_json,
)
from shared.providers.particle.events import ParticleEvent, read_event
from shared.providers.particle.system_events import is_system_event, tell_system_event

if TYPE_CHECKING:
    from shared.providers.particle import Particle

DATA_URL = re.compile(r"data:[^,]{0,200};base64,([A-Za-z0-9+/=\s]*)")
UNDECODED = "It is binary, and no codec decodes it: choose a codec, then replay what failed."
FREE_LATER = "No decoder was free; replay what failed."


@dataclass(frozen=True, slots=True)
class Published:
    """What a device published: its `body` as bytes, for a codec, and what is known of it without one."""

    body: bytes
    known: Message


def parse_request(particle: Particle, request: PushedRequest, *, busy: bool = False) -> list[Message]:
    """The messages in a proven request, whatever it holds: a refusal would count against everybody's address here.

    `busy` says that no codec gets free: what would need one is kept as it came.
    """
    event = read_event(request)
    trouble = event if isinstance(event, str) else _find_foreign(particle, event)
    if isinstance(event, str) or trouble:
        event_id = hashlib.sha256(request.body).hexdigest()
        return [Message.undecoded(request.body, trouble or "", event_id=event_id)]
    known = _describe(particle, event)
    if is_system_event(event):
        return [tell_system_event(event, known)]
    published = Published(_read_data(event.data), known)
    if particle.codec and not busy:
        (messages,) = particle.decode_pushed([CodedBody(published.body, known)])
        return messages
    return [_keep(published, FREE_LATER) if particle.codec else _decode(published, event)]


def decode_stored(particle: Particle, stored: Sequence[StoredBody]) -> list[list[Message]]:
    """Bodies once more by today's config: whole requests where they had no topic, else what devices published."""
    return [_decode_one(particle, each) for each in stored]


def _decode_one(particle: Particle, stored: StoredBody) -> list[Message]:
    if stored.topic is None:
        return parse_request(particle, PushedRequest({}, stored.body))
    known = Message(stored.event_id, stored.device, topic=stored.topic, observed_at=stored.observed_at)
    if particle.codec:
        (messages,) = particle.decode_pushed([CodedBody(stored.body, known, received_at=stored.received_at)])
        return messages
    text = stored.body.decode(errors="replace")
    return [_decode(Published(stored.body, known), ParticleEvent(stored.topic, text))]


def _find_foreign(particle: Particle, event: ParticleEvent) -> str | None:
    """By its number: a slug in the config is not what events carry."""
    numbers = {particle.product_id or "", event.product or ""}
    if all(number.isdecimal() for number in numbers) and len(numbers) > 1:
        return "The event is of another product than product_id."
    return None


def _describe(particle: Particle, event: ParticleEvent) -> Message:
    document = read_document(_read_data(event.data))[0]
    own = find_path(document, particle.event_id_path) if particle.event_id_path else None
    timed = find_path(document, particle.timestamp_path) if particle.timestamp_path else None
    observed_at, doubt = choose_time((timed, event.published_at), parse_time)
    named = name_own_event(event.device, own) if own is not None else None
    remark = " ".join(filter(None, (event.remark, doubt))) or None
    version = {"firmware_version": event.firmware_version} if event.firmware_version else None
    return Message(
        f"own:{named}" if named else event.event_id,
        event.device,
        topic=event.name,
        observed_at=observed_at,
        remark=remark,
        metadata=version,
    )


def _read_data(data: object) -> bytes:
    """The bytes that a device published; those within a data URL."""
    if not isinstance(data, str):
        return b"" if data is None else write_json(data)
    if found := DATA_URL.fullmatch(data):
        try:
            return base64.b64decode(found[1])
        except (binascii.Error, ValueError):
            return data.encode(errors="replace")
    return data.encode(errors="replace")


def _decode(published: Published, event: ParticleEvent) -> Message:
    """Without a codec: JSON as it is, a number as a value, any other text as data."""
    known, body = published.known, published.body
    if isinstance(event.data, str) and DATA_URL.fullmatch(event.data):
        return _keep(published, UNDECODED)
    document, remark, error = read_document(body)
    if isinstance(document, dict):
        raw = encode_raw(body) if remark else (None, None)
        told = " ".join(filter(None, (known.remark, remark))) or None
        kind = judge_kind(document)
        return replace(known, kind=kind, payload=document, raw=raw[0], raw_encoding=raw[1], remark=told)
    if error is None and type(document) in {int, float}:
        return replace(known, kind="telemetry", payload={"value": document})
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _keep(published, UNDECODED)
    return replace(known, kind="event", payload={"data": replace_nul(text)})


def _keep(published: Published, reason: str) -> Message:
    known = published.known
    kept = Message.undecoded(
        published.body, reason, event_id=known.event_id, device=known.device, topic=known.topic
    )
    return replace(kept, observed_at=known.observed_at, metadata=known.metadata)
