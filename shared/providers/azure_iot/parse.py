"""What an IoT Hub tells through Event Grid, as messages: telemetry, coming and going, devices made and deleted.

A body is JSON where the device has said that it is (content type application/json and encoding utf-8), else base64.
What can't be decoded is a message with its error: a refusal would have Event Grid drop all of the batch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from shared.provider import (
    CodedBody,
    Item,
    Message,
    PushedRequest,
    StoredBody,
    choose_time,
    decode_body,
    encode_raw,
    find_path,
    judge_kind,
    parse_time,
    read_media_type,
    tell_presence,
    write_json,
)
from shared.providers.azure_iot.event_grid import DELETION, NOT_EVENTS, VALIDATION, GridEvent, read_delivery

if TYPE_CHECKING:
    from shared.providers.azure_iot import AzureIot

PREFIX = "Microsoft.Devices."
STATUSES: dict[str, Literal["online", "offline"]] = {
    "DeviceConnected": "online",
    "DeviceDisconnected": "offline",
}
CHANGES = {"DeviceCreated": "created", "DeviceDeleted": "deleted"}
TELEMETRY = "telemetry"
ORDER_LENGTH = 80
"""Digits of a sequence number, which is in hex and orders one device's comings and goings."""

SEQUENCE = re.compile(rf"[0-9A-Fa-f]{{1,{ORDER_LENGTH}}}")
BEFORE_ALL = "-"
"""What an order by time begins with: it is before that of any sequence number, which the time says nothing of."""

NOTHING = frozenset((b"", b"null"))
"""The bodies of messages that have none."""

UNDECODED = "It is neither JSON nor CBOR, and no codec decodes it: choose a codec, then replay what failed."


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a device has sent: its bytes, their content type, and what is known without them."""

    body: bytes
    content_type: str
    known: Message


def parse_request(azure: AzureIot, request: PushedRequest) -> list[Message]:
    """The messages in a proven request; none in a handshake. Errors: Unavailable where no codec gets free."""
    delivery = read_delivery(request)
    if delivery.error:
        return [_keep(request.body, delivery.error)]
    read = [
        _read_event(azure, event, delivery.remark)
        for event in delivery.events
        if event.type not in {VALIDATION, DELETION}
    ]
    coded = [CodedBody(each.body, each.known) for each in read if isinstance(each, Telemetry)]
    decoded = iter(azure.decode_pushed(coded) if azure.codec and coded else ())
    messages = [_keep(body, reason) for body, reason in delivery.unread]
    for each in read:
        if isinstance(each, Message):
            messages.append(each)
        elif azure.codec:
            messages += next(decoded)
        else:
            messages.append(decode_telemetry(each))
    return messages


def _keep(body: bytes, reason: str) -> Message:
    return Message.undecoded(body, reason, event_id=hashlib.sha256(body).hexdigest())


def decode_stored(azure: AzureIot, stored: Sequence[StoredBody]) -> list[list[Message]]:
    """Bytes once more by today's config: whole requests where they had no topic, else what devices sent."""
    return [_decode_one(azure, each) for each in stored]


def _decode_one(azure: AzureIot, stored: StoredBody) -> list[Message]:
    if stored.topic is None:
        return parse_request(azure, PushedRequest({}, stored.body))
    if azure.codec:
        (messages,) = azure.decode_pushed([azure.describe_stored(stored)])
        return messages
    known = Message(stored.event_id, stored.device, topic=stored.topic, observed_at=stored.observed_at)
    return [decode_telemetry(Telemetry(stored.body, "", known))]


def _read_event(azure: AzureIot, event: GridEvent, remark: str | None) -> Message | Telemetry:
    if event.is_odd:
        return _keep(write_json(event.whole), NOT_EVENTS)
    kind = event.type.removeprefix(PREFIX)
    known = _describe(event, remark)
    if azure.hub_name and event.hub and event.hub != azure.hub_name:
        words = "The event is of another hub than host_name."
        return Message.undecoded(write_json(event.whole), words, event_id=event.id)
    if kind == "DeviceTelemetry":
        return _read_telemetry(azure, event, known)
    if kind in STATUSES:
        return _tell_status(event, known, STATUSES[kind])
    if kind in CHANGES:
        payload = {"change": CHANGES[kind], "twin": event.data.fields.get("twin")}
        return replace(known, topic="registry", payload=payload)
    return replace(known, topic=event.type[:200], payload=dict(event.data.fields))


def _describe(event: GridEvent, remark: str | None) -> Message:
    """What the hub says of a device, which need not be there."""
    observed_at, doubt = choose_time((event.time or None,), parse_time)
    device = event.data.text("deviceId") or event.device
    told = " ".join(filter(None, (remark, doubt))) or None
    return Message(event.id, device, "event", observed_at=observed_at, device_status="unheard", remark=told)


def _tell_status(event: GridEvent, known: Message, status: Literal["online", "offline"]) -> Message:
    module = event.data.text("moduleId")
    sequence = event.data.item("deviceConnectionStateEventInfo").text("sequenceNumber")
    payload = {"status": status} | ({"module": module} if module else {})
    message = replace(known, kind="state", topic=f"status/{module}" if module else "status", payload=payload)
    if module:
        return message
    if sequence and SEQUENCE.fullmatch(sequence):
        order = sequence.upper().zfill(ORDER_LENGTH)
    else:
        order = f"{BEFORE_ALL}{known.observed_at}" if known.observed_at else ""
    return tell_presence(message, status, order)


def _read_telemetry(azure: AzureIot, event: GridEvent, known: Message) -> Message | Telemetry:
    system, content = event.data.item("systemProperties"), event.data.fields.get("body")
    content_type, encoding = (
        system.text("iothub-content-type") or "",
        system.text("iothub-content-encoding") or "",
    )
    device = system.text("iothub-connection-device-id") or known.device
    metadata = {
        "properties": dict(event.data.item("properties").fields) or None,
        "module": system.text("iothub-connection-module-id"),
    }
    told = replace(
        known,
        device=device,
        topic=TELEMETRY,
        device_status=None,
        metadata={name: value for name, value in metadata.items() if value is not None} or None,
    )
    is_json = read_media_type(content_type) == "application/json" and encoding.lower() == "utf-8"
    if is_json or not isinstance(content, str):
        body = write_json(content)
        return Telemetry(body, "application/json", _choose_time(azure, system, told, content))
    try:
        body = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        kept = Message.undecoded(
            content.encode(), "The body is not base64.", event_id=event.id, device=device, topic=TELEMETRY
        )
        return replace(kept, observed_at=told.observed_at, metadata=told.metadata)
    return Telemetry(body, content_type, _choose_time(azure, system, told, None))


def _choose_time(azure: AzureIot, system: Item, known: Message, document: object) -> Message:
    own = find_path(document, azure.timestamp_path) if azure.timestamp_path else None
    times = (own, system.fields.get("iothub-creation-time-utc"), system.fields.get("iothub-enqueuedtime"))
    observed_at, doubt = choose_time(times, parse_time)
    remark = " ".join(filter(None, (known.remark, doubt))) or None
    return replace(known, observed_at=observed_at or known.observed_at, remark=remark)


def decode_telemetry(telemetry: Telemetry) -> Message:
    """Without a codec: JSON and CBOR, by their type or without one as JSON. All may be said by the properties."""
    if telemetry.body.strip() in NOTHING:
        return replace(telemetry.known, kind="event")
    known, body = telemetry.known, decode_body(telemetry.content_type, telemetry.body)
    if body.error or body.payload is None:
        kept = Message.undecoded(
            telemetry.body,
            body.error or UNDECODED,
            event_id=known.event_id,
            device=known.device,
            topic=known.topic,
        )
        return replace(kept, observed_at=known.observed_at, metadata=known.metadata)
    payload = body.payload
    raw, raw_encoding = (None, None) if body.raw is None else encode_raw(body.raw)
    remark = " ".join(filter(None, (known.remark, body.remark))) or None
    is_number = type(payload) in {int, float}
    kind = judge_kind(payload) if isinstance(payload, dict) else "telemetry" if is_number else "event"
    return replace(
        known,
        kind=kind,
        payload={"value": payload} if is_number else payload,
        raw=raw,
        raw_encoding=raw_encoding,
        remark=remark,
    )
