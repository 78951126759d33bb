"""What ChirpStack says of devices, over its HTTP integration and MQTT, as messages.

Source: its integration/http and integration/mqtt modules. It writes JSON or protobuf, of which JSON is read. Zeros are
written or left out, as its version is. It tries each event once, for five seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from shared.provider import (
    CommandReport,
    Frame,
    Item,
    Kind,
    LorawanEvent,
    Message,
    Report,
    Stage,
    Unauthenticated,
    choose_time,
    keep_undecoded,
    parse_time,
    read_bytes,
    read_document,
)
from shared.providers.lorawan_chirpstack.radio import describe_device, describe_radio, list_facts

NO_EVENT = (
    "The address names no event, which ChirpStack adds as ?event=; give it the address without a query."
)
NO_JSON = "Not JSON: choose JSON as the encoding of the HTTP integration in ChirpStack."
KINDS: dict[str, Kind] = {"status": "state", "log": "log", "location": "telemetry"}
HEARD = frozenset(("join", "status"))
"""Of what is no uplink, what says that the device has been heard."""

ENVELOPE = frozenset(("deduplicationId", "time", "deviceInfo"))
NOT_ACKNOWLEDGED = "The device has not acknowledged it."
EXPIRED = "EXPIRED"


def read_event(topic: str | None, body: bytes, application_id: str) -> LorawanEvent:
    """The event that `topic` names; Unauthenticated where it is of another application."""
    digest = hashlib.sha256(body).hexdigest()
    document, remark, error = read_document(body)
    if error:
        return keep_undecoded(body, digest, NO_JSON)
    if not isinstance(document, dict) or not topic:
        return keep_undecoded(body, digest, NO_EVENT if isinstance(document, dict) else NO_JSON)
    whole = Item(document)
    device = whole.item("deviceInfo")
    if device.text("applicationId") not in {None, application_id}:
        raise Unauthenticated("The event is of another application than application_id.")
    observed_at, doubt = choose_time([whole.fields.get("time")], parse_time)
    eui = device.text("devEui")
    known = Message(
        f"{_name_event(whole, topic, digest)}",
        eui.lower() if eui else None,
        KINDS.get(topic, "event"),
        topic,
        {name: value for name, value in document.items() if name not in ENVELOPE},
        observed_at=observed_at,
        device_status=None if topic in HEARD else "unheard",
        remark=" ".join(filter(None, (remark, doubt))) or None,
        metadata=describe_device(device) or None,
        report=_report(whole, topic),
    )
    return _read_uplink(known, whole, device) if topic == "up" else LorawanEvent(known)


def _read_uplink(known: Message, whole: Item, device: Item) -> LorawanEvent:
    names = _list_names(device)
    heard = replace(
        known,
        payload={},
        device_status=None,
        metadata={**(known.metadata or {}), **describe_radio(whole)},
        report=Report(facts=list_facts(whole) | {"codec_names": names}),
    )
    data = read_bytes(whole.fields.get("data"))
    return LorawanEvent(heard, Frame(data, whole.count("fPort"), whole.item("object").fields, names))


def _name_event(whole: Item, topic: str, digest: str) -> str:
    """The same when it comes again, by whatever way; a log has no name of its own."""
    named = whole.text("queueItemId" if topic == "txack" else "deduplicationId")
    return f"{named}:{topic}" if named and topic != "log" else digest


def _report(whole: Item, topic: str) -> Report | None:
    if topic == "status":
        facts = list_facts(whole)
        return Report(facts=facts) if facts else None
    context = whole.item("context")
    reference = context.text("queue_item_id") if topic == "log" else whole.text("queueItemId")
    if reference is None or topic not in {"ack", "txack", "log"}:
        return None
    stage, error = _judge(whole, topic)
    return Report(command=CommandReport(stage, id=None, reference=reference, error=error))


def _judge(whole: Item, topic: str) -> tuple[Stage, str | None]:
    if topic == "txack":
        return "sent", None
    if topic == "ack":
        is_done = whole.fields.get("acknowledged") is True
        return ("acknowledged", None) if is_done else ("failed", NOT_ACKNOWLEDGED)
    stage: Stage = "expired" if whole.text("code") == EXPIRED else "failed"
    return stage, whole.text("description") or whole.text("code") or "ChirpStack has given it up."


def _list_names(device: Item) -> tuple[str, ...]:
    """By what a codec may be chosen: the device, then its profile."""
    eui = device.text("devEui") or ""
    names = (
        *(eui.lower(), eui.upper(), device.text("deviceName")),
        *(device.text("deviceProfileId"), device.text("deviceProfileName")),
    )
    return tuple(name for name in names if name)
