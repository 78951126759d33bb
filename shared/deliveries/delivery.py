"""A delivery as it is leased, and the event that it brings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from shared.integrations.sealing import SealedIntegration
from shared.provider import Event, EventDevice, Identity
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


def make_event(delivery: LeasedDelivery, row: SealedIntegration) -> Event:
    """The event of a delivery, for the integration in `row`."""
    source, device = delivery["source"], delivery["device"]
    return Event(
        id=delivery["id"],
        type=delivery["event_type"],
        kind=delivery["kind"] or "event",
        at=delivery["observed_at"] or datetime.now(UTC).isoformat(),
        organization_id=row["organization_id"],
        integration=Identity(
            row["organization_id"],
            source["integration_id"] or "",
            source["integration_type"] or "",
            source["name"] or "",
        ),
        device=EventDevice(**device) if device else None,
        topic=delivery["topic"],
        payload=tell_payload(delivery),
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
