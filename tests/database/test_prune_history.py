"""What maintenance forgets, and what it never does."""

from __future__ import annotations

import pytest

from tests.database.fixtures import Service, make_messages

COUNT = "select count(*) from {}"
ACTIVITY = """
insert into integration_activity (organization_id, integration_id, kind, message)
select organization_id, id, 'session', 'something' from device_integrations
"""
COMMANDS = """
insert into device_commands (organization_id, device_id, integration_id, name, status, finished_at)
select organization_id, id, integration_id, 'reboot', s.status, case s.status when 'sent' then now() end
  from devices cross join (values ('sent'), ('pending')) s(status) where integration_id is not null
"""
TIMES = {
    "integration_activity": ("created_at",),
    "integration_metrics": ("minute",),
    "device_commands": ("created_at", "expires_at", "finished_at"),
}


def age_history(service: Service, days: int) -> None:
    """Activity, metrics, a finished and a pending command, all so old."""
    service.connection.execute("delete from integration_metrics")
    service.ingest(service.make_integration(), make_messages(2))
    for statement in (ACTIVITY, COMMANDS):
        service.connection.execute(statement)
    for table, columns in TIMES.items():
        moved = ", ".join(f"{column} = {column} - interval '{days} days'" for column in columns)
        service.connection.execute(f"update {table} set {moved}")


@pytest.mark.parametrize(
    ("days", "forgotten"),
    [
        (89, {"activity": 0, "metrics": 1, "commands": 0, "provisionings": 0}),
        (91, {"activity": 1, "metrics": 1, "commands": 1, "provisionings": 0}),
    ],
)
def test_history_is_forgotten_after_90_days_but_never_a_command_that_is_open(
    service: Service, days: int, forgotten: dict[str, int]
) -> None:
    age_history(service, days)

    assert service.one("select prune_history()") == forgotten
    assert service.one(COUNT.format("device_commands where status = 'pending'")) == 1


def test_history_is_forgotten_in_batches(service: Service) -> None:
    service.connection.execute(
        "insert into integration_activity (organization_id, integration_id, kind, message, created_at)"
        " select %s, gen_random_uuid(), 'session', 'something', now() - interval '91 days' from generate_series(1, 5)",
        (service.organization_id,),
    )

    counts = [service.one("select prune_history(p_limit => 3)")["activity"] for _ in range(3)]

    assert counts == [3, 2, 0]


def test_event_ids_are_forgotten_after_7_days_and_partitions_after_90(service: Service) -> None:
    integration_id = service.make_integration()
    service.ingest(integration_id, make_messages(3))
    service.connection.execute("reset role")
    service.connection.execute(
        "delete from private.message_ledger where integration_id <> %s", (integration_id,)
    )
    service.connection.execute("update private.message_ledger set seen_at = now() - interval '8 days'")
    service.one("select private.make_message_partition((now() at time zone 'UTC')::date - 91)::text")

    counts = service.one("select prune_messages()")

    assert (counts["partitions_dropped"], counts["ids_forgotten"]) == (1, 3)
    assert service.one(COUNT.format("device_messages where integration_id = %s"), integration_id) == 3
