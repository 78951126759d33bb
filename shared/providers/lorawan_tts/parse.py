"""What The Things Stack says of devices, over its webhooks, MQTT and the Storage Integration, as messages.

Source: its documentation of data formats. Zero, "" and false are left out, and a field mask may leave out all but the
ids: every field is optional.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
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
from shared.providers.lorawan_tts.radio import describe_radio, list_facts

UPLINKS = {"uplink_message": "decoded_payload", "uplink_normalized": "normalized_payload"}
STAGES: dict[str, Stage] = {
    "downlink_queued": "queued",
    "downlink_sent": "sent",
    "downlink_ack": "acknowledged",
    "downlink_nack": "failed",
    "downlink_failed": "failed",
}
KEYS = (
    *UPLINKS,
    "join_accept",
    *STAGES,
    "downlink_queue_invalidated",
    "location_solved",
    "service_data",
)
HEARD = frozenset(("join_accept", "downlink_ack"))
"""Of what is no uplink, what says that the device has been heard."""

OURS = "cmd:"
"""How the correlation id of a command of ours begins."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOT_ACKNOWLEDGED = "The device has not acknowledged it."


def read_event(body: bytes, application_id: str) -> LorawanEvent:
    """The event in a body; Unauthenticated where it is of another application."""
    digest = hashlib.sha256(body).hexdigest()
    document, remark, error = read_document(body)
    if error is None and not isinstance(document, dict):
        error = "Not a message of The Things Stack, which is a JSON object."
    if error:
        return keep_undecoded(body, digest, error)
    whole = Item(document)
    ids = whole.item("end_device_ids")
    application = ids.item("application_ids").text("application_id")
    if application not in {None, application_id}:
        raise Unauthenticated("The message is of another application than application_id.")
    key = next((each for each in KEYS if each in whole.fields), "")
    event = _read_uplink(whole, key) if key in UPLINKS else _read_other(whole, key)
    known = replace(event.known, event_id=_name_event(whole, key, digest), device=ids.text("device_id"))
    return replace(event, known=replace(known, remark=" ".join(filter(None, (remark, known.remark))) or None))


def _read_uplink(whole: Item, key: str) -> LorawanEvent:
    uplink, ids = whole.item(key), whole.item("end_device_ids")
    times = [each.fields.get("time") for each in uplink.items("rx_metadata")]
    observed_at, doubt = _choose_time(
        *times, uplink.fields.get("received_at"), whole.fields.get("received_at")
    )
    warnings = uplink.texts(f"{UPLINKS[key]}_warnings")
    decoded = uplink.item(UPLINKS[key]).fields
    names = _list_names(uplink, ids)
    known = Message(
        "",
        kind="event",
        topic=key,
        payload={},
        observed_at=observed_at,
        remark=" ".join(filter(None, (*warnings, doubt)))[:1_000] or None,
        metadata=_describe_ids(whole) | describe_radio(uplink),
        report=Report(facts=list_facts(uplink, ids) | {"codec_names": names}),
    )
    port = uplink.count("f_port")
    return LorawanEvent(known, Frame(read_bytes(uplink.fields.get("frm_payload")), port, decoded, names))


def _read_other(whole: Item, key: str) -> LorawanEvent:
    about = whole.item(key)
    content = whole.fields.get(key) if key else whole.fields
    observed_at, doubt = _choose_time(about.fields.get("received_at"), whole.fields.get("received_at"))
    return LorawanEvent(
        Message(
            "",
            kind=_judge(key),
            topic=key or None,
            payload=content,
            observed_at=observed_at,
            device_status=None if key in HEARD else "unheard",
            remark=doubt,
            metadata=_describe_ids(whole) or None,
            report=_report(about, key),
        )
    )


def _judge(key: str) -> Kind:
    return "telemetry" if key == "location_solved" else "event"


def _report(about: Item, key: str) -> Report | None:
    stage = STAGES.get(key)
    downlink = about.item("downlink") if key == "downlink_failed" else about
    command_id = _find_command(downlink)
    if stage is None or command_id is None:
        return None
    error = NOT_ACKNOWLEDGED if key == "downlink_nack" else None
    if key == "downlink_failed":
        error = about.item("error").text("message_format") or about.item("error").text("name") or "It failed."
    return Report(command=CommandReport(stage, id=command_id, error=error))


def _find_command(downlink: Item) -> str | None:
    ours = (each.removeprefix(OURS) for each in downlink.texts("correlation_ids") if each.startswith(OURS))
    return next((each for each in ours if UUID.fullmatch(each)), None)


def _name_event(whole: Item, key: str, digest: str) -> str:
    """The same over retries, MQTT and what is read back."""
    about, ids = whole.item(key), whole.item("end_device_ids")
    downlink = about.item("downlink") if key == "downlink_failed" else about
    if key in STAGES and (command := _find_command(downlink)):
        return f"{OURS}{command}:{key}"
    device = (ids.text("dev_eui") or "").upper() or ids.text("device_id") or ""
    session, count = about.text("session_key_id"), about.count("f_cnt") or 0
    moment = about.text("received_at") or whole.text("received_at")
    if key in UPLINKS and session:
        return f"{device}:{session}:{count}:{key}"
    if key == "join_accept" and session:
        return f"{device}:{session}::{key}"
    return f"{device}:{session or ''}:{count}:{key}:{moment or digest}"


def _describe_ids(whole: Item) -> dict[str, object]:
    ids = whole.item("end_device_ids")
    eui = ids.text("dev_eui")
    told: Mapping[str, object] = {
        "dev_eui": eui and eui.upper(),
        "simulated": whole.fields.get("simulated") is True or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _list_names(uplink: Item, ids: Item) -> tuple[str, ...]:
    """By what a codec may be chosen: the device, then its model."""
    version, eui = uplink.item("version_ids"), ids.text("dev_eui") or ""
    brand, model = version.text("brand_id"), version.text("model_id")
    names = (ids.text("device_id"), eui.upper(), eui.lower(), brand and model and f"{brand}/{model}", model)
    return tuple(name for name in names if name)


def _choose_time(*candidates: object) -> tuple[str | None, str | None]:
    return choose_time(candidates, parse_time)
