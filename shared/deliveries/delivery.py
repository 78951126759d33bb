"""A delivery as it is leased, and the event that it brings."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TypedDict

from shared.integrations.sealing import SealedIntegration
from shared.provider import Event, EventDevice, Identity, Notice
from shared.runtime.settings import load_settings


class EventSourceRow(TypedDict):
    """The integration a message came from; all None once that is deleted."""

    integration_id: str | None
    integration_type: str | None
    name: str | None


class EventDeviceRow(TypedDict):
    """The device a message is about; only its external id where it is none of the platform's."""

    id: str | None
    external_id: str
    name: str | None


class GatheredRow(TypedDict):
    """An event that goes along with another: about which device, by its external id and name."""

    type: str
    at: str
    payload: object
    device: str | None
    name: str | None


class Gathered(TypedDict):
    """How many events go along, and the first of them."""

    count: int
    events: list[GatheredRow]


class NoticeRow(TypedDict):
    """Whom a delivery is for, where it is for a person; see `Notice`."""

    recipient: str
    tried_at: str
    is_repeat: bool
    reference: str | None
    earlier: str | None
    known: list[str]
    gathered: Gathered


class LeasedDelivery(TypedDict):
    """A delivery as `lease_deliveries` answers it; `attempts` counts the one to come."""

    id: str
    lease_token: str
    organization_id: str
    integration_id: str
    attempts: int
    payload_bytes: int
    event_type: str
    kind: str | None
    topic: str | None
    traceparent: str | None
    """The trace that its message came in (W3C Trace Context)."""
    payload: object
    observed_at: str | None
    source: EventSourceRow
    device: EventDeviceRow | None
    notice: NoticeRow | None


def make_event(delivery: LeasedDelivery, row: SealedIntegration) -> Event:
    """The event of a delivery, for the integration in `row`."""
    source, device = delivery["source"], delivery["device"]
    return Event(
        id=delivery["id"],
        type=delivery["event_type"],
        kind=delivery["kind"] or "event",
        at=delivery["observed_at"] or datetime.now(UTC).isoformat(),
        organization_id=row["organization_id"],
        integration=_identify(
            row["organization_id"], source["integration_id"], source["integration_type"], source["name"]
        ),
        device=EventDevice(device["id"], device["external_id"], device["name"]) if device else None,
        topic=delivery["topic"],
        payload=tell_payload(delivery),
        notice=_read_notice(delivery, row),
    )


@lru_cache(maxsize=1024)
def _identify(organization_id: str, *source: str | None) -> Identity:
    return Identity(organization_id, *(text or "" for text in source))


def _read_notice(delivery: LeasedDelivery, row: SealedIntegration) -> Notice | None:
    told = delivery.get("notice")
    if told is None:
        return None
    gathered = told["gathered"]
    return Notice(
        *(told["recipient"], told["tried_at"], told["is_repeat"], told["reference"], told["earlier"]),
        known=frozenset(told["known"]),
        events=tuple(_read_gathered(each, row) for each in gathered["events"]),
        count=gathered["count"],
    )


def _read_gathered(told: GatheredRow, row: SealedIntegration) -> Event:
    external_id = told["device"]
    return Event(
        id="",
        type=told["type"],
        kind="alert" if told["type"].startswith("alert.") else "event",
        at=told["at"],
        organization_id=row["organization_id"],
        integration=Identity(row["organization_id"], "", "", ""),
        device=None if external_id is None else EventDevice(None, external_id, told["name"]),
        payload=told["payload"],
    )


def describe_delivery(delivery: LeasedDelivery) -> dict[str, str]:
    """What its span says of it."""
    return {
        "messaging.system": "webhook",
        "messaging.operation.name": "deliver",
        "messaging.message.id": delivery["id"],
        "integration.id": delivery["integration_id"],
    }


def tell_payload(delivery: LeasedDelivery) -> object:
    """The payload; of an alert with the address at which what it is about can be read."""
    payload = delivery["payload"]
    if delivery["kind"] != "alert" or not isinstance(payload, dict):
        return payload
    about = f"/{payload['integration_id']}" if payload.get("integration_id") else ""
    return payload | {"url": f"{load_settings().public_url}/integrations{about}"}
