"""Steps that tests of the outgoing queue take again and again."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages


def enqueue(service: Service, count: int, **fields: Any) -> None:
    """Have a device say so many things that every webhook wants."""
    service.ingest(service.make_integration(), make_messages(count, **fields))


def make_webhook(service: Service, **settings: Any) -> str:
    """A webhook that wants everything, with a rate that is in nobody's way."""
    return service.make_integration(
        "webhook", **({"events": ["*"], "rate_limit_per_minute": 10_000} | settings)
    )


def lease(service: Service, limit: int = 100) -> list[Row]:
    """The deliveries of `lease_deliveries`."""
    leased: dict[str, Any] = service.one("select lease_deliveries(%s, 60)", limit)
    return list(leased["deliveries"])


def finish(service: Service, deliveries: list[Row], outcome: str, **fields: Any) -> dict[str, int]:
    """The counts of `finish_deliveries` for attempts that all came out alike."""
    results = [
        {"id": row["id"], "lease_token": row["lease_token"], "outcome": outcome, "milliseconds": 5}
        | {"started_at": "2026-01-01T00:00:00Z"}
        | fields
        for row in deliveries
    ]
    counts: dict[str, int] = service.one("select finish_deliveries(%s)", Jsonb(results))
    return counts


def pass_time(service: Service, seconds: float) -> None:
    """Move everything the queue remembers into the past; now() stands still within a transaction."""
    for table, column in (
        ("public.webhook_deliveries", "due_at"),
        ("public.webhook_endpoints", "probe_at"),
        ("public.webhook_endpoints", "failing_since"),
        ("private.webhook_sends", "second"),
    ):
        # By way of long ago: of what is a key, none may meet another that is still to be moved.
        for step in (
            f"- interval '1000 years' - make_interval(secs => {seconds})",
            "+ interval '1000 years'",
        ):
            service.connection.execute(f"update {table} set {column} = {column} {step}")
