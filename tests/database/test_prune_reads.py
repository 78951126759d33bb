"""What maintenance reads: what it forgets, and little of what is kept for longer."""

from __future__ import annotations

from typing import LiteralString

import pytest

from tests.database.fixtures import Service
from tests.database.test_rows_read import count_reads

KEPT, OLD = 2_000, 20

ALERTS: LiteralString = (
    "insert into alerts (organization_id, integration_id, kind, message, resolved_at)"
    " select %s, %s, 'silent', 'x', now() - make_interval(days => %s) from generate_series(1, %s)"
)
JOBS: LiteralString = (
    "insert into integration_jobs"
    " (organization_id, integration_id, kind, status, created_by, created_at, finished_at)"
    " select %s, %s, 'sync', %s, %s, now() - make_interval(days => %s, secs => n), now() - make_interval(days => %s)"
    " from generate_series(1, %s) n"
)


def prune(service: Service, function: LiteralString, table: LiteralString) -> tuple[dict[str, int], int]:
    """What a round forgets, and how many rows of the table it reads, once Postgres knows how they spread."""
    schema = "private" if table == "message_ledger" else "public"
    service.as_owner(f"analyze {schema}.{table}")
    before = count_reads(service, table)
    counts: dict[str, int] = service.one(f"select {function}()")
    return counts, count_reads(service, table) - before


@pytest.fixture
def planned(service: Service) -> Service:
    """Everything was planned while there was nothing."""
    for function in ("prune_deliveries", "prune_history", "prune_jobs", "prune_messages"):
        for _ in range(6):
            service.run(f"select {function}()")
    return service


def test_alerts_that_are_kept_are_not_read(planned: Service) -> None:
    integration = planned.make_integration()
    for days, count in ((40, KEPT), (91, OLD)):
        planned.as_owner(ALERTS, planned.organization_id, integration, days, count)

    counts, read = prune(planned, "prune_deliveries", "alerts")

    assert counts["alerts_pruned"] == OLD
    assert read < KEPT / 5


def test_jobs_that_are_kept_are_not_read(planned: Service) -> None:
    integration = planned.make_integration()
    user = planned.one("select user_id from organization_members limit 1")
    for status, by, days, count in (
        ("failed", None, 10, KEPT),
        ("done", user, 10, KEPT),
        ("done", None, 0, KEPT),
        ("done", None, 2, OLD),
        ("failed", None, 31, OLD),
    ):
        planned.as_owner(JOBS, planned.organization_id, integration, status, by, days, days, count)

    counts, read = prune(planned, "prune_jobs", "integration_jobs")

    assert counts == {"jobs": 2 * OLD}
    assert read < KEPT / 5


def test_event_ids_that_are_kept_are_not_read(planned: Service) -> None:
    remembered = 20_000
    planned.as_owner(
        "insert into private.message_ledger (integration_id, organization_id, event_id)"
        " select %s, %s, 'event-' || n from generate_series(1, %s) n",
        planned.make_integration(),
        planned.organization_id,
        remembered,
    )

    _, read = prune(planned, "prune_messages", "message_ledger")

    assert read < remembered / 5


DELIVERIES: LiteralString = (
    "insert into webhook_deliveries"
    " (organization_id, integration_id, event_type, message_id, message_received_at, status, created_at)"
    " select %s, %s, 'device.telemetry', gen_random_uuid(), now(), %s, now() - make_interval(days => %s, secs => n)"
    " from generate_series(1, %s) n"
)


def age_deliveries(service: Service, status: str, days: int, count: int) -> None:
    service.as_owner(DELIVERIES, service.organization_id, service.make_integration(), status, days, count)


def test_dead_letters_that_are_kept_are_read_once_a_day(planned: Service) -> None:
    planned.as_owner("delete from webhook_deliveries")
    for status, days, count in (("dead", 40, KEPT), ("delivered", 31, OLD), ("dead", 91, OLD)):
        age_deliveries(planned, status, days, count)

    counts = []
    for age in ("2 days", "1 hour"):
        planned.as_owner("update private.prune_marks set swept_at = now() - %s::interval", age)
        counts.append(prune(planned, "prune_deliveries", "webhook_deliveries"))

    (first, all_of_them), (second, read) = counts
    assert (first["deliveries_pruned"], second["deliveries_pruned"]) == (2 * OLD, 0)
    assert all_of_them > KEPT
    assert read < KEPT / 5


def test_what_grows_old_is_forgotten_without_reading_what_is_kept(planned: Service) -> None:
    planned.as_owner("delete from webhook_deliveries")
    age_deliveries(planned, "dead", 40, KEPT)
    age_deliveries(planned, "delivered", 30, OLD)
    planned.as_owner(
        "update private.prune_marks m set swept_at = now(), swept_to = now() - r.kept - interval '10 minutes'"
        " from private.retention r where r.what = m.what"
    )

    counts, read = prune(planned, "prune_deliveries", "webhook_deliveries")

    assert counts["deliveries_pruned"] == OLD
    assert read < KEPT / 5


def test_commands_that_wait_are_not_read_and_those_of_nobody_end(planned: Service) -> None:
    kept, gone = planned.make_integration(), planned.make_integration()
    insert = (
        "insert into device_commands (organization_id, integration_id, device_id, name)"
        " select organization_id, integration_id, id, 'blink' from devices cross join generate_series(1, %s)"
        " where integration_id = %s"
    )
    for integration, count in ((kept, KEPT), (gone, OLD)):
        planned.as_owner(
            "insert into devices (organization_id, integration_id, external_id, name) values (%s, %s, 'a', 'A')",
            planned.organization_id,
            integration,
        )
        planned.as_owner(insert, count, integration)
    planned.as_owner("delete from device_integrations where id = %s", gone)

    _, read = prune(planned, "prune_history", "device_commands")

    ended = "select count(*) from device_commands where status = 'failed' and integration_id = %s"
    assert (planned.one(ended, gone), planned.one(ended, kept)) == (OLD, 0)
    assert read < 10 * OLD
