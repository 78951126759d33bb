"""What storing and leasing read of a large fleet: the devices they are about, also before there are statistics.

A plan made while a table was empty takes every index for as good as another: they may not be slow for that.
"""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages
from tests.database.queue import make_webhook

FLEET, BATCH = 2_000, 50


@pytest.fixture
def fleet(service: Service) -> str:
    """An integration with many devices, met after what stores and leases has been planned for none."""
    integration = service.make_integration()
    webhook = service.make_integration(
        "webhook", events=["*"], max_concurrent=BATCH, rate_limit_per_minute=10_000
    )
    service.connection.execute("reset role")
    service.connection.execute("truncate devices cascade")
    service.connection.execute("set local role service_role")
    say(service, integration)
    assert len(service.one("select lease_deliveries(%s, 60)", BATCH)["deliveries"]) == BATCH
    command(service, integration)
    assert len(service.one("select lease_commands(%s, 60, 100)", BATCH)["commands"]) == BATCH
    recall(service, integration, "2026-01-01")
    service.as_owner("delete from device_integrations where id <> all (%s::uuid[])", [integration, webhook])
    service.as_owner("delete from webhook_deliveries")
    service.as_owner("delete from device_commands")
    service.as_owner(
        "insert into devices (organization_id, integration_id, external_id, name, last_seen_at)"
        " select %s, %s, 'unit-' || n, 'Unit', now() - interval '1 hour' from generate_series(1, %s::integer) n",
        service.organization_id,
        integration,
        FLEET - BATCH,
    )
    return integration


def count_reads(service: Service, table: str = "devices") -> int:
    """How many rows of a table, or of those whose names are like it, this transaction has read."""
    return int(
        service.one(
            "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables where relname like %s",
            table,
        )
    )


def say(service: Service, integration: str) -> None:
    """A message of each of the last devices."""
    assert service.ingest(integration, make_batch())["stored"] == BATCH


def make_batch(**fields: Any) -> list[Row]:
    """Messages of the last devices."""
    return [
        message | {"device": f"unit-{FLEET - number}"}
        for number, message in enumerate(make_messages(BATCH, **fields))
    ]


def recall(service: Service, integration: str, day: str) -> None:
    """What each of the last devices said long ago."""
    batch = make_batch(observed_at=f"{day}T00:00:00Z")
    assert service.one("select ingest_history(%s, %s)", integration, Jsonb(batch))["stored"] == BATCH


def command(service: Service, integration: str) -> None:
    """A command for each of some devices."""
    service.as_owner(
        "insert into device_commands (organization_id, integration_id, device_id, name, payload)"
        " select organization_id, integration_id, id, 'blink', '{}' from devices"
        " where integration_id = %s order by last_seen_at desc limit %s",
        integration,
        BATCH,
    )


def test_a_batch_reads_the_devices_that_it_is_of(service: Service, fleet: str) -> None:
    before = count_reads(service)

    say(service, fleet)

    assert count_reads(service) - before <= 5 * BATCH


def test_a_lease_of_deliveries_reads_the_devices_that_they_are_of(service: Service, fleet: str) -> None:
    say(service, fleet)
    before = count_reads(service)

    leased = service.one("select lease_deliveries(%s, 60)", BATCH)["deliveries"]

    assert {row["device"]["external_id"] for row in leased} == {f"unit-{FLEET - n}" for n in range(BATCH)}
    assert count_reads(service) - before <= 5 * BATCH


def test_a_lease_of_commands_reads_the_devices_that_they_are_for(service: Service, fleet: str) -> None:
    command(service, fleet)
    before = count_reads(service)

    assert len(service.one("select lease_commands(%s, 60, 100)", BATCH)["commands"]) == BATCH

    assert count_reads(service) - before <= 5 * BATCH


def test_a_history_reads_the_devices_that_it_is_of(service: Service, fleet: str) -> None:
    before = count_reads(service)

    recall(service, fleet, "2026-01-02")

    assert count_reads(service) - before <= 10 * BATCH


@pytest.mark.parametrize("said", ["before", "last"])
def test_retained_copies_have_what_their_device_said_read_once_at_most(service: Service, said: str) -> None:
    integration, batches = service.make_integration(), 10
    for seconds in range(batches):
        live = Jsonb(make_messages(BATCH, topic="live"))
        at = "now() - make_interval(secs => 1 + %s)"
        service.run(f"select ingest_messages(%s, %s, p_received_at => {at})", integration, live, seconds)
    copies = [
        message | {"topic": f"config/{number}", "retained": True}
        for number, message in enumerate(make_messages(BATCH))
    ]
    if said == "last":
        service.ingest(integration, copies)
    before = count_reads(service, "device_messages_%")

    counts = service.one("select ingest_retained(%s, %s)", integration, Jsonb(copies))

    assert counts["duplicates"] == (BATCH if said == "last" else 0)
    assert count_reads(service, "device_messages_%") - before <= BATCH * (
        3 if said == "last" else batches + 1
    )


@pytest.mark.parametrize("integrations", [1, 0])
def test_an_alert_that_is_raised_reads_none_of_its_past(service: Service, integrations: int) -> None:
    integration = service.make_integration() if integrations else None
    service.connection.execute(
        "insert into alerts (organization_id, integration_id, kind, message, resolved_at)"
        " select %s, %s, 'test', 'x', now() - make_interval(hours => n) from generate_series(1, 500) n",
        (service.organization_id, integration),
    )
    raise_it = (
        "insert into alerts (organization_id, integration_id, kind, message) values (%s, %s, 'test', %s)"
    )
    before = count_reads(service, "alerts")

    for message in ("raised", "the same", "goes on"):
        service.connection.execute(raise_it, (service.organization_id, integration, message))

    assert count_reads(service, "alerts") - before < 50


def test_whether_ids_are_kept_too_long_is_seen_without_reading_them_all(service: Service) -> None:
    judge = "select judge_integrations(0, 0)"
    service.run(judge)
    remembered = 20_000
    service.as_owner(
        "insert into private.message_ledger (integration_id, organization_id, event_id)"
        " select %s, %s, 'event-' || n from generate_series(1, %s) n",
        service.make_integration(),
        service.organization_id,
        remembered,
    )
    before = count_reads(service, "message_ledger")

    service.run(judge)

    assert count_reads(service, "message_ledger") - before < remembered / 5


def test_what_came_of_commands_is_noted_without_reading_those_that_wait(service: Service, fleet: str) -> None:
    for _ in range(10):
        service.one("select finish_commands('[]')")
    for _ in range(20):
        command(service, fleet)
    leased = service.one("select lease_commands(5, 60, 5)")["commands"]
    results = [{"id": row["id"], "lease_token": row["lease_token"], "outcome": "sent"} for row in leased]
    before = count_reads(service, "device_commands")

    counts = service.one("select finish_commands(%s)", Jsonb(results))

    assert (len(leased), counts["sent"]) == (5, 5)
    assert count_reads(service, "device_commands") - before < 50


def test_of_many_ordered_webhooks_a_lease_looks_at_some_heads_of_each(service: Service) -> None:
    webhooks = [make_webhook(service, ordered="device", max_concurrent=100) for _ in range(20)]
    service.connection.execute(
        "insert into webhook_deliveries"
        " (organization_id, integration_id, event_type, message_id, message_received_at, ordering_key)"
        " select %s, w, 'device.telemetry', gen_random_uuid(), now(), gen_random_uuid()"
        " from unnest(%s::uuid[]) w cross join generate_series(1, 600)",
        (service.organization_id, webhooks),
    )
    before = count_reads(service, "webhook_deliveries")

    leased = service.one("select lease_deliveries(20, 60)")["deliveries"]

    assert len({row["integration_id"] for row in leased}) == 20
    assert count_reads(service, "webhook_deliveries") - before < 7_000


def test_a_step_of_queueing_finds_its_batch_among_any_number(service: Service) -> None:
    for _ in range(10):
        assert service.one("select spread_deliveries()") is None
    source = service.make_integration()
    service.run(
        "insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, received_at, id_end)"
        " select %s, gen_random_uuid(), gen_random_uuid(), %s, now(), 'x' from generate_series(1, 500) returning id",
        service.organization_id,
        source,
    )
    before = count_reads(service, "fan_outs")

    assert service.one("select spread_deliveries()") == 0
    assert count_reads(service, "fan_outs") - before < 20
    assert service.one("select count(*) from private.fan_outs") == 499
