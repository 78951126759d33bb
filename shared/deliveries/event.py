"""From a leased delivery to the event that a provider delivers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.provider.messages import Event, EventDevice, Identity


def make_event(delivery: Mapping[str, Any], row: Mapping[str, Any]) -> Event:
    """The event of a delivery of `lease_deliveries`, for the webhook in `row`."""
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
        payload=delivery["payload"],
    )
