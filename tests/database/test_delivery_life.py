"""Every delivery ends: any outcomes, crashes and expiries, against the real functions; and what ended is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.database.fixtures import Row, Service
from tests.database.queue import enqueue, finish, lease, make_webhook, pass_time

OUTCOMES = st.lists(st.sampled_from(["delivered", "retry", "dead", "crash", "late", "unsent"]), max_size=12)


def step(service: Service, outcome: str, tries: int) -> None:
    """Lease what is due, and have it come out like that."""
    leased = lease(service)
    if outcome in ("crash", "late"):
        pass_time(service, 61)
        lease(service)
    if outcome != "crash":
        # The dispatcher gives up after the last try.
        for row in leased:
            wanted = "delivered" if outcome == "late" else outcome
            last = wanted == "retry" and row["attempts"] >= tries
            finish(service, [row], "dead" if last else wanted, retry_seconds=1)
    pass_time(service, 700)


@settings(max_examples=40)
@given(outcomes=OUTCOMES, schedule=st.lists(st.just(1), max_size=3), order=st.sampled_from(["off", "device"]))
def test_every_delivery_ends_with_no_more_attempts_than_its_schedule_has(
    service: Service, outcomes: list[str], schedule: list[int], order: str
) -> None:
    tries = len(schedule) + 1
    with service.connection.transaction(force_rollback=True):
        make_webhook(service, retry_schedule=schedule, ordered=order)
        enqueue(service, 3)

        for outcome in outcomes:
            step(service, outcome, tries)
        for _ in range(3 * tries + 3):
            step(service, "retry", tries)

        rows = service.run("select status, attempts, lease_token from webhook_deliveries")
        ends = {row["status"] for row in rows}
        assert len(rows) == 3
        assert ends <= {"delivered", "dead"}
        assert all(row["attempts"] <= tries and row["lease_token"] is None for row in rows)


def test_a_delivery_whose_last_lease_ran_out_is_dead_and_its_log_says_why(service: Service) -> None:
    make_webhook(service, retry_schedule=[])
    enqueue(service, 1)
    lease(service)
    pass_time(service, 61)

    again = lease(service)

    (row,) = service.run(
        "select status, error from webhook_deliveries d join webhook_attempts a on a.delivery_id = d.id"
    )
    assert (again, row["status"]) == ([], "dead")
    assert row["error"].startswith("lease_lost")


@pytest.mark.parametrize(
    ("status", "days", "left"),
    [
        ("delivered", 29, "delivered"),
        ("delivered", 31, None),
        ("cancelled", 31, None),
        ("dead", 31, "dead"),
        ("dead", 91, None),
        ("pending", 89, "pending"),
        ("pending", 91, "cancelled"),
    ],
)
def test_what_ended_is_kept_for_a_while(service: Service, status: str, days: int, left: str | None) -> None:
    make_webhook(service)
    enqueue(service, 1)
    if status != "pending":
        finish(service, lease(service), "delivered")
    service.connection.execute(
        "update webhook_deliveries set status = %s, created_at = now() - make_interval(days => %s)",
        (status, days),
    )
    service.as_owner("update private.prune_marks set swept_to = '-infinity'")

    service.one("select prune_deliveries()")

    rows: list[dict[str, Any]] = service.run("select status from webhook_deliveries")
    assert [row["status"] for row in rows] == ([left] if left else [])
    if left is None:
        assert service.run("select 1 from webhook_attempts") == []


@pytest.mark.parametrize(("days", "hours", "left"), [(40, 23, 1), (40, 25, 0), (91, 23, 1)])
def test_what_ended_late_is_forgotten_within_a_day(
    service: Service, days: int, hours: int, left: int
) -> None:
    make_webhook(service)
    enqueue(service, 1)
    service.one("select prune_deliveries()")
    service.connection.execute(
        "update webhook_deliveries set status = 'delivered', created_at = now() - make_interval(days => %s)",
        (days,),
    )
    service.as_owner(
        "update private.prune_marks set swept_to = now() - interval '1 day',"
        " swept_at = now() - make_interval(hours => %s)",
        hours,
    )

    service.one("select prune_deliveries()")

    assert len(service.run("select 1 from webhook_deliveries")) == left


def test_a_round_goes_on_where_the_last_one_came_to_its_limit(service: Service) -> None:
    make_webhook(service)
    enqueue(service, 5)
    service.connection.execute(
        "update webhook_deliveries set status = 'delivered', created_at = now() - interval '40 days'"
    )
    service.as_owner("update private.prune_marks set swept_to = '-infinity'")

    counts = [service.one("select prune_deliveries(p_limit => 2)")["deliveries_pruned"] for _ in range(4)]

    assert counts == [2, 2, 1, 0]


def test_pruning_stops_at_its_limit(service: Service) -> None:
    make_webhook(service)
    enqueue(service, 5)
    service.connection.execute(
        "update webhook_deliveries set status = 'delivered', created_at = now() - interval '40 days'"
    )
    service.as_owner("update private.prune_marks set swept_to = '-infinity'")

    counts: Row = service.one("select prune_deliveries(p_limit => 2)")

    assert counts["deliveries_pruned"] == 2
