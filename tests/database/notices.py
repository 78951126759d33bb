"""Steps that tests of messages to people take again and again."""

from __future__ import annotations

from typing import Any

from tests.database.fixtures import Row, Service
from tests.database.queue import lease

ADA: dict[str, Any] = {"name": "Ada", "to": "+491701234567"}
BOB: dict[str, Any] = {"name": "Bob", "to": "+491701234568"}


def make_notifier(service: Service, *recipients: dict[str, Any], **settings: Any) -> str:
    """An integration that tells these people of alerts."""
    told = list(recipients) or [ADA]
    return service.make_integration("twilio", **({"events": ["alert.*"], "recipients": told} | settings))


def raise_alerts(
    service: Service, count: int, level: str = "warning", kind: str = "webhook.failing"
) -> list[str]:
    """So many alerts about as many integrations."""
    made = [service.make_integration() for _ in range(count)]
    for integration in made:
        service.run("select private.raise_alert(%s, %s, %s, 'It fails.', '{}')", integration, kind, level)
    return made


def lease_notices(service: Service) -> list[Row]:
    """What goes to people now."""
    return [row for row in lease(service) if row["notice"]]


def pass_seconds(service: Service, seconds: float) -> None:
    """Move what the queue for people remembers into the past; now() stands still within a transaction."""
    service.connection.execute(
        "update webhook_deliveries set due_at = due_at - make_interval(secs => %(s)s),"
        " created_at = created_at - make_interval(secs => %(s)s), tried_at = tried_at - make_interval(secs => %(s)s)",
        {"s": seconds},
    )
