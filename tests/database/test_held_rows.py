"""What one organization's statement holds for seconds, no other organization waits for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import make_messages
from tests.database.tenant import Tenant, open_tenant
from tests.stack import Stack
from tests.waiting import wait_until

PATIENCE = "1s"
"""Of the service with a call; whoever waits for the other organization waits longer."""

Pair = tuple[Tenant, Tenant]

DELETE_INTEGRATIONS: LiteralString = (
    "delete from device_integrations where organization_id = %(organization)s"
)
CHANGE_INTEGRATIONS: LiteralString = (
    "update device_integrations set settings = settings || jsonb_build_object('note', 1)"
    " where organization_id = %(organization)s"
)
CANCEL_DELIVERIES: LiteralString = (
    "select cancel_deliveries(id, '{}') from device_integrations where organization_id = %(organization)s"
)
DELETE_DEVICES: LiteralString = "delete from devices where organization_id = %(organization)s"
CHANGE_DEVICES: LiteralString = "update devices set name = 'x' where organization_id = %(organization)s"


@pytest.fixture
def pair(stack: Stack) -> Iterator[Pair]:
    """The organization whose statement takes long, and another."""
    with open_tenant(stack) as slow, open_tenant(stack) as other:
        slow.own("delete from webhook_deliveries")
        slow.own("update private.prune_marks set swept_to = '-infinity'")
        slow.own("delete from device_commands")
        slow.own("delete from integration_jobs")
        yield slow, other


@contextmanager
def hold(tenant: Tenant, statement: LiteralString) -> Iterator[None]:
    """A statement of the organization's owner that does not come to its end."""
    with tenant.stack.connect() as connection:
        claims = Jsonb({"role": "authenticated", "sub": tenant.owner})
        connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,))
        connection.execute("set local role authenticated")
        connection.execute(statement, {"organization": tenant.organization})
        yield
        connection.rollback()


def serve(tenant: Tenant, statement: LiteralString, **values: Any) -> Any:
    """What the service is told, within its patience."""
    with tenant.stack.connect() as connection:
        connection.execute("select set_config('statement_timeout', %s, true)", (PATIENCE,))
        connection.execute("set local role service_role")
        row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def subscribe(tenant: Tenant) -> str:
    """A webhook for which a message waits."""
    webhook = tenant.integrate(events=["*"])
    message = {"event_id": str(uuid.uuid4()), "device": "a", "kind": "telemetry", "payload": {"n": 1}}
    tenant.own(
        "select ingest_messages(%(id)s, %(messages)s)", id=tenant.integrate(), messages=Jsonb([message])
    )
    return webhook


def lease(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """What is leased, by its organization."""
    leased = serve(tenant, "select lease_deliveries(100, 60)")
    return {row["organization_id"]: row for row in leased["deliveries"]}


def describe(row: dict[str, Any], outcome: str) -> dict[str, Any]:
    result = {"id": row["id"], "lease_token": row["lease_token"], "outcome": outcome, "retry_seconds": 1}
    return result | {"started_at": "2026-01-01T00:00:00Z", "milliseconds": 1}


def test_what_is_pushed_to_others_is_stored_and_its_own_is_to_come_again(pair: Pair) -> None:
    slow, other = pair
    mine = [slow.integrate() for _ in range(12)]
    theirs = other.integrate()
    message = {"device": "a", "kind": "telemetry", "payload": {"n": 1}}
    for integration in mine:
        first = Jsonb([message | {"event_id": "first"}])
        slow.own("select ingest_messages(%(id)s, %(messages)s)", id=integration, messages=first)
    slow.own("update devices set last_seen_at = now() - interval '1 hour'")
    posts = [
        {"integration_id": each, "messages": [message | {"event_id": "next"}], "requests": 1}
        for each in (*mine, theirs)
    ]

    with hold(slow, CHANGE_DEVICES):
        told = serve(slow, "select receive_messages(%(posts)s)", posts=Jsonb(posts))
    again = serve(slow, "select receive_messages(%(posts)s)", posts=Jsonb(posts[:-1]))

    assert {told[each]["problem"]["code"] for each in mine} == {"55P03"}
    assert (told[theirs]["stored"], {again[each]["stored"] for each in mine}) == (1, {1})


@pytest.mark.parametrize("statement", [DELETE_INTEGRATIONS, CANCEL_DELIVERIES])
def test_what_waits_for_others_is_leased(pair: Pair, statement: LiteralString) -> None:
    slow, other = pair
    for tenant in pair:
        subscribe(tenant)

    with hold(slow, statement):
        leased = lease(slow)
    later = lease(slow)

    assert (set(leased), set(later)) == ({other.organization}, {slow.organization})


@pytest.mark.parametrize(("ended", "days"), [("delivered", 40), ("dead", 100), ("pending", 100)])
def test_what_is_held_of_old_deliveries_is_passed_over_until_the_next_round(
    pair: Pair, ended: str, days: int
) -> None:
    slow, other = pair
    for tenant in pair:
        subscribe(tenant)
        tenant.own(
            "update webhook_deliveries set status = %(status)s, created_at = now() - make_interval(days => %(days)s)",
            status=ended,
            days=days,
        )

    with slow.stack.connect() as holding:
        holding.execute(
            "select from webhook_deliveries where organization_id = %s for update", (slow.organization,)
        )
        first = serve(other, "select prune_deliveries()")
    second = serve(other, "select prune_deliveries()")

    counted = "deliveries_cancelled" if ended == "pending" else "deliveries_pruned"
    assert (first[counted], second[counted]) == (1, 1)


def begin_failing(tenant: Tenant, webhook: str) -> None:
    """One failure more, and its circuit opens."""
    tenant.own(
        "update webhook_endpoints set failures = 9, failing_since = now() where integration_id = %(id)s",
        id=webhook,
    )


@pytest.mark.parametrize(
    ("statement", "outcome"),
    [(DELETE_INTEGRATIONS, "delivered"), (DELETE_INTEGRATIONS, "retry"), (CHANGE_INTEGRATIONS, "retry")],
)
def test_what_came_of_others_deliveries_is_recorded_and_its_own_is_to_be_told_again(
    pair: Pair, statement: LiteralString, outcome: str
) -> None:
    slow, other = pair
    webhook = subscribe(slow)
    subscribe(other)
    leased = lease(slow)
    begin_failing(slow, webhook)
    results = [describe(leased[tenant.organization], outcome) for tenant in pair]

    with hold(slow, statement):
        told = serve(slow, "select finish_deliveries(%(results)s)", results=Jsonb(results))
    again = serve(slow, "select finish_deliveries(%(results)s)", results=Jsonb(results[:1]))

    counted = {"retry": "retried"}.get(outcome, outcome)
    assert (told[counted], told["busy"]) == (1, [results[0]["id"]])
    assert again[counted] == 1


def test_what_came_of_others_commands_is_recorded(pair: Pair) -> None:
    slow, _ = pair
    for tenant in pair:
        integration = tenant.integrate()
        tenant.own(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%(organization)s, %(integration)s, 'd', 'd')",
            integration=integration,
        )
        tenant.own(
            "insert into device_commands (device_id, name) select id, 'x' from devices where integration_id = %(i)s",
            i=integration,
        )
    leased = serve(slow, "select lease_commands(10, 60)")["commands"]
    results = [{"id": row["id"], "lease_token": row["lease_token"], "outcome": "sent"} for row in leased]
    mine = [row["id"] for row in leased if row["organization_id"] == slow.organization]

    with hold(slow, DELETE_DEVICES):
        told = serve(slow, "select finish_commands(%(results)s)", results=Jsonb(results))

    assert len(leased) == len(pair)
    assert (told["sent"], told["busy"]) == (1, mine)


def test_what_is_told_of_a_command_while_its_answer_is_recorded_waits_for_its_name(pair: Pair) -> None:
    tenant, _ = pair
    integration = tenant.integrate()
    device = tenant.own(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%(organization)s, %(i)s, 'd', 'd') returning id",
        i=integration,
    )
    tenant.own("insert into device_commands (device_id, name) values (%(device)s, 'x')", device=device)
    (leased,) = serve(tenant, "select lease_commands(10, 60)")["commands"]
    result = {
        "id": leased["id"],
        "lease_token": leased["lease_token"],
        "outcome": "sent",
        "reference": "r",
        "milliseconds": 1,
    }
    command = {"stage": "acknowledged", "id": None, "reference": "r", "error": None}
    (message,) = make_messages(1, device="d", report={"facts": None, "command": command})
    is_waiting = (
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like %(query)s)"
    )

    with tenant.stack.connect() as recording, ThreadPoolExecutor(1) as pool:
        recording.execute("set local role service_role")
        recording.execute("select finish_commands(%s)", (Jsonb([result]),))
        telling = pool.submit(
            tenant.serve,
            "select ingest_messages(%(i)s, %(messages)s)",
            i=integration,
            messages=Jsonb([message]),
        )
        wait_until(
            lambda: telling.done() or tenant.own(is_waiting, query="select ingest_messages(%"),
            "what is told neither waits nor is stored",
        )
        recording.commit()
        stored = telling.result(60)

    assert stored["stored"] == 1
    assert tenant.own("select status from device_commands where device_id = %(d)s", d=device) == "confirmed"


def test_the_leases_of_others_jobs_are_renewed(pair: Pair) -> None:
    slow, other = pair
    for tenant in pair:
        tenant.own(
            "insert into integration_jobs (organization_id, integration_id, kind)"
            " values (%(organization)s, %(i)s, 'sync')",
            i=tenant.integrate(),
        )
    leases = serve(
        slow,
        "select jsonb_agg(jsonb_build_object('id', id, 'lease_token', lease_token)) from lease_jobs(10, 60)",
    )

    with hold(slow, CHANGE_INTEGRATIONS):
        renewed = serve(other, "select renew_jobs(%(leases)s, 60)", leases=Jsonb(leases))

    assert (len(leases), renewed) == (2, 1)


def test_the_seals_of_an_integration_that_is_being_changed_stay(pair: Pair) -> None:
    slow, other = pair
    seals = []
    for tenant in pair:
        integration = tenant.integrate()
        tenant.own(
            "insert into private.integration_secrets (integration_id, organization_id, sealed_sent)"
            " values (%(i)s, %(organization)s, 'old.sealed')",
            i=integration,
        )
        seals.append({"id": integration, "seal_count": 1, "sealed_sent": "new.sealed"})

    # Who changes one has its row, and then wants its secrets: who has these may not wait for it.
    with hold(slow, CHANGE_INTEGRATIONS):
        replaced = serve(other, "select replace_seals(%(seals)s)", seals=Jsonb(seals))

    assert replaced == 1
