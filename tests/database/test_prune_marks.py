"""What maintenance is through with, and what it has not been through with for days."""

from __future__ import annotations

from shared.scheduler.retention import PRUNES
from tests.database.fixtures import Service
from tests.stack import Stack

LATE = "update private.prune_marks set clear_at = now() - interval '3 days'"


def list_behind(service: Service) -> list[str] | None:
    """What it has not been through with for two days."""
    service.connection.execute("reset role")
    found: list[str] | None = service.one("select private.list_behind(2)")
    service.connection.execute("set local role service_role")
    return found


def test_whatever_has_a_retention_is_behind_until_maintenance_is_through_with_it(service: Service) -> None:
    service.as_owner("delete from private.message_ledger where seen_at < now() - interval '7 days'")
    service.as_owner(LATE)
    before = list_behind(service)

    for prune in PRUNES:
        service.one(f"select {prune}()")

    service.connection.execute("reset role")
    assert before == [row["what"] for row in service.run("select what from private.retention order by what")]
    assert list_behind(service) is None


def test_what_fills_its_batch_is_not_through(service: Service) -> None:
    service.connection.execute(
        "insert into integration_activity (organization_id, integration_id, kind, message, created_at)"
        " select %s, gen_random_uuid(), 'session', 'something', now() - interval '91 days' from generate_series(1, 4)",
        (service.organization_id,),
    )
    service.as_owner(LATE)

    behind = []
    for _ in range(3):
        service.one("select prune_history(p_limit => 2)")
        behind.append("activity" in (list_behind(service) or ()))

    assert behind == [True, True, False]


def test_a_partition_that_can_not_be_dropped_is_not_through(service: Service, stack: Stack) -> None:
    day = "(now() at time zone 'UTC')::date - 91"
    name = service.one(f"select 'device_messages_' || to_char({day}, 'YYYYMMDD')")
    with stack.connect() as connection:
        connection.execute(f"select private.make_message_partition({day})")
    service.as_owner(LATE)

    with stack.connect() as reading:
        reading.execute(f"select from private.{name}")
        service.one("select prune_messages()")
        behind = list_behind(service)
        reading.rollback()
    with stack.connect() as connection:
        connection.execute("select private.drop_message_partition(%s)", (name,))

    assert "messages" in (behind or ())
