"""Metrics: counted with the work, summed up once, rolled up without losing any, and totals that never fall."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Service, make_messages
from tests.database.queue import enqueue, finish, lease, make_webhook

SUMS = "enqueued, deliveries, dead, cancelled, attempts, commands, sessions, answers, errors, response_ms"
TALLIED = f"select {SUMS} from private.sum_totals() where integration_id = %s"
OPEN = "select count(*) from webhook_deliveries where integration_id = %s and stage is not null"
KEPT = """
select 'minute' as step, received, attempts, errors, response_ms from integration_metrics where integration_id = %s
union all
select step, received, attempts, errors, response_ms from integration_metric_rollups where integration_id = %s
"""
AGE = "update private.metric_tallies set minute = minute - %s * interval '1 minute'"


def read_sums(service: Service, integration_id: str) -> dict[str, Any]:
    """What there ever was of an integration."""
    service.connection.execute("reset role")
    rows = service.run(TALLIED, integration_id)
    service.connection.execute("set local role service_role")
    return rows[0] if rows else {}


def sum_up(service: Service, minutes: int = 2) -> None:
    """As maintenance does so many minutes later."""
    service.as_owner(AGE, minutes)
    service.one("select sum_metrics()")


def test_what_was_queued_is_what_ended_and_what_is_open(service: Service) -> None:
    webhook = make_webhook(service, retry_schedule=[0])
    enqueue(service, 10)
    leased = lease(service)

    finish(service, leased[:4], "delivered", status_code=204)
    finish(service, leased[4:6], "dead", status_code=500)
    finish(service, leased[6:7], "retry", status_code=503, retry_seconds=0)
    finish(service, leased[7:8], "unsent", error="no key")
    service.as_owner("select private.end_as_cancelled(array[%s]::uuid[])", leased[9]["id"])
    service.as_owner("select private.queue_again(array[%s]::uuid[])", leased[5]["id"])

    sums = read_sums(service, webhook)
    ended = sums["deliveries"] + sums["dead"] + sums["cancelled"]
    assert (sums["enqueued"], sums["deliveries"], sums["dead"], sums["cancelled"]) == (11, 4, 2, 1)
    assert sums["enqueued"] == ended + service.one(OPEN, webhook)


def test_attempts_are_counted_by_answer_kind_and_time(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 5)
    leased = lease(service)

    finish(service, leased[:2], "delivered", status_code=200, milliseconds=5)
    finish(service, leased[2:3], "retry", status_code=503, milliseconds=80, retry_seconds=60)
    finish(
        service, leased[3:4], "retry", error="timeout: it took long", milliseconds=20_000, retry_seconds=60
    )
    finish(service, leased[4:], "dead", status_code=410, milliseconds=30)

    sums = read_sums(service, webhook)
    assert sums["attempts"] == 5
    assert sums["answers"] == [1, 2, 0, 1, 1]
    assert sums["errors"] == {"http_503": 1, "timeout": 1, "http_410": 1}
    assert sums["response_ms"] == [2, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_lease_that_ran_out_is_an_attempt_without_an_answer(service: Service) -> None:
    webhook = make_webhook(service, retry_schedule=[])
    enqueue(service, 1)
    lease(service)
    service.as_owner("update webhook_deliveries set due_at = now() - interval '1 second'")

    service.as_owner("select private.return_expired(array[%s]::uuid[])", webhook)

    sums = read_sums(service, webhook)
    assert (sums["attempts"], sums["dead"], sums["errors"]) == (1, 1, {"lease_lost": 1})


def test_tallies_are_summed_up_once(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 3)
    finish(service, lease(service), "delivered", status_code=200)
    before = read_sums(service, webhook)

    sum_up(service)
    service.one("select sum_metrics()")

    (minute,) = service.run(f"select {SUMS} from integration_metrics where integration_id = %s", webhook)
    assert read_sums(service, webhook) == before == minute
    service.connection.execute("reset role")
    assert service.one("select count(*) from private.metric_tallies where integration_id = %s", webhook) == 0


def test_the_minute_that_is_under_way_is_left_alone(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 3)

    service.one("select sum_metrics()")

    assert service.one("select count(*) from integration_metrics where integration_id = %s", webhook) == 0
    assert read_sums(service, webhook)["enqueued"] == 3


def test_minutes_are_rolled_up_to_hours_and_days_and_nothing_is_lost(service: Service) -> None:
    webhook, source = make_webhook(service), service.make_integration()
    for days in (1, 20, 21, 200, 201):
        service.ingest(source, make_messages(3))
        first, *others = lease(service)
        finish(service, others, "retry", status_code=500, retry_seconds=60, milliseconds=7)
        finish(service, [first], "delivered", status_code=200, milliseconds=7)
        service.as_owner(
            "update integration_metrics set minute = minute - %s * interval '1 day'"
            " where minute > now() - interval '1 hour'",
            days,
        )
        sum_up(service, days * 24 * 60)
    before = read_sums(service, webhook)

    for _ in range(2):
        service.one("select prune_history()")

    for integration in (webhook, source):
        kept = service.run(KEPT, integration, integration)
        assert {row["step"] for row in kept} == {"minute", "hour", "day"}
        if integration == source:
            assert sum(row["received"] for row in kept) == 15
        else:
            assert sum(row["attempts"] for row in kept) == before["attempts"]
            assert sum(row["errors"]["http_500"] for row in kept) == before["errors"]["http_500"]
            assert sum(sum(row["response_ms"]) for row in kept) == before["attempts"]
    assert read_sums(service, webhook) == before


def test_totals_of_messages_outlive_what_is_pruned_and_replayed(service: Service) -> None:
    source = service.make_integration()
    service.ingest(source, [*make_messages(2), *make_messages(1, error="bad", raw="?")])
    service.as_owner("update integration_metrics set minute = minute - interval '20 days'")

    service.one("select prune_history()")
    service.ingest(source, make_messages(4))

    (facts,) = service.run(
        "select received, stored, duplicates, undecoded from integration_facts where integration_id = %s",
        source,
    )
    assert tuple(facts.values()) == (7, 6, 0, 1)


def test_a_connection_is_counted_to_the_second_over_the_minutes(service: Service) -> None:
    source = service.make_integration()
    row = service.lease(source)
    service.one("select confirm_session(%s, %s, 120)", source, row["lease_token"])
    service.as_owner("update integration_schedules set connected_to = connected_to - interval '150 seconds'")

    service.one(
        "select finish_session(%s, %s, null, 0, %s)", source, row["lease_token"], Jsonb({"seconds": 150})
    )

    service.connection.execute("reset role")
    counted = service.run(
        "select round(sum(connected_seconds)::numeric, 3) as connected, max(connected_seconds) as most,"
        " sum(connects) as connects, sum(connect_ms_sum) as ms, sum(sessions) as sessions"
        " from private.metric_tallies where integration_id = %s",
        source,
    )[0]
    assert (
        counted["connected"],
        counted["most"],
        counted["connects"],
        counted["ms"],
        counted["sessions"],
    ) == (150, 60, 1, 120, 1)


def test_of_a_killed_session_is_counted_what_it_was_there_for_when_it_last_said_so(service: Service) -> None:
    source = service.make_integration()
    row = service.lease(source)
    service.one("select confirm_session(%s, %s, 120)", source, row["lease_token"])
    # Renewed for the last time 95 seconds after it was counted, for 30 seconds, which are over for 10.
    service.as_owner(
        "update integration_schedules set connected_to = now() - interval '135 seconds',"
        " due_at = now() - interval '10 seconds' where integration_id = %s",
        source,
    )
    service.lease(source)
    service.as_owner("update integration_schedules set due_at = now() - interval '1 second'")
    service.lease(source)

    service.connection.execute("reset role")
    counted = "select round(sum(connected_seconds)::numeric, 3) from private.metric_tallies where integration_id = %s"
    assert service.one(counted, source) == 95


def test_a_late_worker_counts_nothing(service: Service) -> None:
    source = service.make_integration()
    service.lease(source)

    with pytest.raises(Exception, match="taken over"):
        service.one("select finish_session(%s, %s)", source, uuid.uuid4())


def test_kinds_of_errors_are_bounded(service: Service) -> None:
    many = {f"http_{number}": number for number in range(300, 400)}

    service.connection.execute("reset role")
    added = service.one("select private.add_errors(%s, %s)", Jsonb(many), Jsonb({"timeout": 1_000}))

    assert len(added) == 31
    assert sum(added.values()) == sum(many.values()) + 1_000
    assert added["timeout"] == 1_000


@pytest.mark.parametrize(
    ("buckets", "share", "about"),
    [
        ([10] + [0] * 14, 0.5, 2.5),
        ([0] * 14 + [4], 0.95, 10_000),
        ([5, 5] + [0] * 13, 0.75, 7.5),
        ([0] * 15, 0.5, None),
    ],
)
def test_percentiles_come_from_the_buckets(
    service: Service, buckets: list[int], share: float, about: float | None
) -> None:
    service.connection.execute("reset role")

    assert service.one("select private.find_quantile(%s, %s)", buckets, share) == about


def test_commands_are_counted_when_they_are_taken(service: Service) -> None:
    source = service.make_integration()
    device = service.one(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%s, %s, 'a', 'a') returning id",
        service.organization_id,
        source,
    )
    service.run(
        "insert into device_commands (device_id, name) values (%s, 'a'), (%s, 'b') returning id",
        device,
        device,
    )
    leased = service.one("select lease_commands(10, 60)")["commands"]
    first, second = ({"id": row["id"], "lease_token": row["lease_token"]} for row in leased)

    service.one(
        "select finish_commands(%s)",
        Jsonb(
            [
                first | {"outcome": "sent", "milliseconds": 12},
                second | {"outcome": "failed", "code": "timeout", "milliseconds": 30},
            ]
        ),
    )

    sums = read_sums(service, source)
    assert (sums["commands"], sums["errors"], sum(sums["response_ms"])) == (1, {"timeout": 1}, 2)
