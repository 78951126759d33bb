"""The words that travel: messages in, events and commands out. Plain data, no behaviour but its own shape."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue

from shared.codecs.contract import Encoded

Kind = Literal["telemetry", "state", "event", "log"]
JsonObject = dict[str, JsonValue]

MESSAGE_LIMIT = 1_048_576
"""Bytes of one message's body that are kept; a larger one is refused alone, with its beginning."""

ALERT = "alert"
"""The kind of the events that tell of alerts: they are of no device, and their payload says all there is."""

REFUSED_EXCERPT = 1_024
"""Bytes kept of a message that is over `MESSAGE_LIMIT`."""


Stage = Literal["queued", "sent", "acknowledged", "failed", "expired"]
"""How far a command is that the other side keeps for its device."""


@dataclass(frozen=True, slots=True)
class CommandReport:
    """What the other side says of a command, by our `id` of it or by its own `reference`."""

    stage: Stage
    id: str | None = None
    reference: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """That the other side saw its device come or go.

    `order` tells which of two such reports is the later, whenever they come: compared as text, for one device. `at` is
    ISO 8601; who has been heard after that is not offline.
    """

    status: Literal["online", "offline"]
    order: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a message tells beside what is stored of it.

    `facts` are of its device, kept in the metadata of that; of `gateways` those from before stay. `command` is what
    became of one. `presence` is for messages that are `unheard`: the device's status follows it alone.
    """

    facts: Mapping[str, object] | None = None
    command: CommandReport | None = None
    presence: Presence | None = None


@dataclass(slots=True)  # not frozen, which costs a microsecond a message; nobody changes one all the same
class Message:
    """One normalised thing a device said, in the shape `ingest_messages` takes.

    `event_id` names it within its integration: the same id is stored once. `device` is the id the outside
    uses (`devices.external_id`), None when unknown. `payload` is JSON (readings or body). `raw` is what came,
    as text, or base64 where `raw_encoding` says so; it is kept where it differs from `payload`.
    `observed_at` is ISO 8601 with an offset, None for the time of arrival. `error` says why it could not be
    decoded, and nothing else: what was odd and did not prevent that is in `remark`. `device_status` is `online` or
    `offline` where the message says so, `unheard` where it is about the device and not from it. `retained` is a copy
    of what was said at some time before: its device need not be there any more. `report` is what else it tells.
    """

    event_id: str
    device: str | None = None
    kind: Kind = "telemetry"
    topic: str | None = None
    payload: Any = None
    raw: str | None = None
    raw_encoding: Literal["base64"] | None = None
    observed_at: str | None = None
    error: str | None = None
    device_status: Literal["online", "offline", "unheard"] | None = None
    remark: str | None = None
    retained: bool = False
    metadata: Mapping[str, object] | None = None
    report: Report | None = None

    @classmethod
    def undecoded(
        cls, body: bytes, reason: str, *, event_id: str, device: str | None = None, topic: str | None = None
    ) -> Message:
        """What stands for a `body` that could not be decoded: an event that keeps it, and says why."""
        raw, raw_encoding = encode_raw(body)
        return cls(event_id, device, "event", topic, None, raw, raw_encoding, None, reason)


def encode_raw(body: bytes) -> tuple[str, Literal["base64"] | None]:
    """`body` as text Postgres can hold: itself where it is UTF-8 without NUL, else base64, and which it is."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
    return (base64.b64encode(body).decode(), "base64") if "\x00" in text else (text, None)


def decode_raw(raw: str, raw_encoding: str | None) -> bytes:
    """The bytes that `encode_raw` was given."""
    return base64.b64decode(raw) if raw_encoding == "base64" else raw.encode()


@dataclass(frozen=True, slots=True)
class Identity:
    """Which integration of which organization a provider works for. Ids are UUIDs as text."""

    organization_id: str
    integration_id: str
    integration_type: str
    name: str = ""


@dataclass(slots=True)  # not frozen, as Message
class EventDevice:
    """The device an event is about; without `id` and `name` where it is none of the platform's devices."""

    id: str | None
    external_id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Whom an event is told, by the name in `recipients`, and what is known of it.

    `is_repeat` says that the message may be with the other side already, at the earliest since `tried_at`; `reference`
    is what that calls it, where it has said so. `earlier` is its name for the message that told the same person of the
    same alert before, `known` those of other messages that lately went to that person. The message tells of `events`
    too, which are the first of `count`.
    """

    recipient: str
    tried_at: str
    is_repeat: bool = False
    reference: str | None = None
    earlier: str | None = None
    known: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()
    count: int = 0


@dataclass(slots=True)  # not frozen, as Message
class Event:
    """One message or event on its way out. `id` stays the same over all attempts of a delivery.

    `done` are the recipients who have it already, or never will, by the names that a `publish` before gave them.
    `encoded` is the body that a codec has made of it; `notice` is there where it is told to a person.
    """

    id: str
    type: str
    kind: str
    at: str
    organization_id: str
    integration: Identity
    device: EventDevice | None = None
    topic: str | None = None
    payload: Any = None
    done: frozenset[str] = frozenset()
    encoded: Encoded | None = None
    notice: Notice | None = None


def describe_event(event: Event) -> dict[str, Any]:
    """An event as JSON: what webhooks get without a template, and what codecs are given."""
    if event.kind == ALERT:
        return {"id": event.id, "type": event.type, "timestamp": event.at, "data": event.payload}
    device, source = event.device, event.integration
    return {
        "id": event.id,
        "type": event.type,
        "timestamp": event.at,
        "data": {
            "kind": event.kind,
            "topic": event.topic,
            "device": device and {"id": device.id, "external_id": device.external_id, "name": device.name},
            "payload": event.payload,
            "integration": {
                "id": source.integration_id,
                "name": source.name,
                "type": source.integration_type,
            },
            "organization_id": event.organization_id,
        },
    }


def list_template_values(event: Event) -> dict[str, object]:
    """What the paths of a template lead to."""
    device, source = event.device, event.integration
    return {
        "event": {
            "id": event.id,
            "type": event.type,
            "kind": event.kind,
            "at": event.at,
            "topic": event.topic,
        },
        "device": device and {"id": device.id, "external_id": device.external_id, "name": device.name},
        "payload": event.payload,
        "integration": {"id": source.integration_id, "name": source.name, "type": source.integration_type},
        "organization_id": event.organization_id,
    }


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to tell a device. `device` is its external id; after `expires_at` it is not sent any more.

    `codec_names` are those that its last uplink gave it, of devices whose codecs are chosen by them.
    """

    id: str
    device: str
    name: str
    payload: Any
    expires_at: datetime
    codec_names: tuple[str, ...] = ()
