"""Replaying and cancelling: who may, what it leads to, and where it ends."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Service, make_messages
from tests.database.queue import enqueue, finish, lease
from tests.database.test_row_level_security import act_as
from tests.stack import Stack

Row = dict[str, Any]


def make_dead(service: Service, count: int = 1) -> str:
    """A webhook all of whose deliveries are dead after one attempt; its id."""
    webhook = service.make_integration("webhook", events=["*"], max_concurrent=100)
    enqueue(service, count)
    finish(service, lease(service), "dead", status_code=500)
    return webhook


def call_as(service: Service, stack: Stack, persona: str, statement: str, *values: Any) -> Any:
    """The only value of a statement that a user runs; the service goes on afterwards."""
    act_as(service.connection, stack, persona)
    try:
        with service.connection.transaction():
            return service.one(statement, *values)
    finally:
        service.connection.execute("reset role")
        service.connection.execute("set local role service_role")
        service.connection.execute("select set_config('request.jwt.claims', '', true)")


def replay_all(service: Service, stack: Stack, webhook: str, **fields: Any) -> Row:
    reply: Row = call_as(service, stack, "admin", "select replay_deliveries(%s, %s)", webhook, Jsonb(fields))
    return {name: reply[name] for name in ("replayed", "left")}


def statuses(service: Service) -> list[str]:
    return [row["status"] for row in service.run("select status from webhook_deliveries order by status")]


def test_a_replay_keeps_the_id_and_goes_out_once_more(service: Service, stack: Stack) -> None:
    webhook = make_dead(service)
    (before,) = service.run("select id from webhook_deliveries")

    counts = replay_all(service, stack, webhook)

    (leased,) = lease(service)
    assert counts == {"replayed": 1, "left": 0}
    assert (leased["id"], leased["attempts"]) == (str(before["id"]), 2)


@pytest.mark.parametrize("function", ["replay_deliveries", "cancel_deliveries"])
def test_a_misspelt_range_is_refused_and_not_taken_for_the_whole_queue(
    service: Service, stack: Stack, function: str
) -> None:
    webhook = make_dead(service)
    enqueue(service, 1)
    before = statuses(service)

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"Unknown: form, stauts\. What narrows"):
        call_as(
            service,
            stack,
            "admin",
            f"select {function}(%s, %s)",
            webhook,
            Jsonb({"stauts": "x", "form": "y"}),
        )

    assert statuses(service) == before


def test_a_replay_that_fails_is_not_tried_again(service: Service, stack: Stack) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    enqueue(service, 1)
    finish(service, lease(service), "delivered")
    replay_all(service, stack, webhook, status="delivered")

    finish(service, lease(service), "retry", retry_seconds=0)

    assert statuses(service) == ["dead"]
    assert lease(service) == []


def test_a_replay_goes_out_while_its_webhook_is_inactive_and_the_rest_waits(
    service: Service, stack: Stack
) -> None:
    webhook = make_dead(service)
    enqueue(service, 2)
    service.connection.execute("update device_integrations set status = 'inactive' where id = %s", (webhook,))

    replay_all(service, stack, webhook)

    (leased,) = lease(service)
    assert leased["attempts"] == 2
    assert statuses(service) == ["delivering", "pending", "pending"]


def test_a_replay_that_fails_does_not_count_against_its_endpoint(service: Service, stack: Stack) -> None:
    webhook = make_dead(service)
    (before,) = service.run("select failures, failing_since, circuit from webhook_endpoints")
    replay_all(service, stack, webhook)

    finish(service, lease(service), "dead", status_code=500)

    assert service.run("select failures, failing_since, circuit from webhook_endpoints") == [before]


@pytest.mark.parametrize(
    ("fields", "replayed"),
    [
        ({}, 2),
        ({"status": "dead"}, 2),
        ({"status": "delivered"}, 0),
        ({"event_type": "device.telemetry"}, 2),
        ({"event_type": "device.log"}, 0),
        ({"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}, 2),
        ({"to": "2000-01-01T00:00:00Z"}, 0),
        ({"from": "2100-01-01T00:00:00Z"}, 0),
    ],
)
def test_a_range_is_what_its_fields_say(service: Service, stack: Stack, fields: Row, replayed: int) -> None:
    webhook = make_dead(service, 2)

    counts = replay_all(service, stack, webhook, **fields)

    assert counts["replayed"] == replayed
    assert len(lease(service)) == replayed


def test_one_call_replays_ten_thousand_and_says_how_many_are_left(service: Service, stack: Stack) -> None:
    webhook = make_dead(service)
    service.connection.execute(
        "insert into webhook_deliveries"
        " (organization_id, integration_id, event_type, message_id, message_received_at, status)"
        " select organization_id, integration_id, event_type, message_id, message_received_at, status"
        " from webhook_deliveries, generate_series(1, 10004)"
    )

    counts = [replay_all(service, stack, webhook) for _ in range(3)]

    assert counts == [
        {"replayed": 10_000, "left": 5},
        {"replayed": 5, "left": 0},
        {"replayed": 0, "left": 0},
    ]


def test_paging_through_what_was_delivered_ends_though_it_is_delivered_again(
    service: Service, stack: Stack
) -> None:
    webhook = make_dead(service, 3)
    service.connection.execute("update webhook_deliveries set status = 'delivered'")
    first = call_as(
        service, stack, "admin", "select replay_deliveries(%s, %s)", webhook, Jsonb({"status": "delivered"})
    )
    finish(service, lease(service), "delivered")

    again = replay_all(service, stack, webhook, status="delivered")
    finish(service, lease(service), "delivered")
    onward = replay_all(service, stack, webhook, status="delivered", not_replayed_since=first["replayed_at"])

    assert (first["replayed"], again["replayed"], onward["replayed"]) == (3, 3, 0)


def test_what_lost_its_message_to_the_retention_is_not_replayed(service: Service, stack: Stack) -> None:
    webhook = make_dead(service)
    (delivery,) = service.run("select id from webhook_deliveries")
    service.connection.execute("delete from device_messages")

    counts = replay_all(service, stack, webhook)

    assert counts == {"replayed": 0, "left": 0}
    with pytest.raises(psycopg.Error, match="retention") as refusal:
        call_as(service, stack, "admin", "select replay_delivery(%s, %s)", webhook, delivery["id"])
    assert refusal.value.sqlstate == "PT410"


@pytest.mark.parametrize(
    ("function", "status"),
    [
        ("replay_delivery", "pending"),
        ("replay_delivery", "delivering"),
        ("cancel_delivery", "delivered"),
        ("cancel_delivery", "dead"),
    ],
)
def test_what_has_the_wrong_status_is_refused(
    service: Service, stack: Stack, function: str, status: str
) -> None:
    webhook = make_dead(service)
    (row,) = service.run("update webhook_deliveries set status = %s returning id", status)

    with pytest.raises(psycopg.Error, match="already") as refusal:
        call_as(service, stack, "admin", f"select {function}(%s, %s)", webhook, row["id"])

    assert (refusal.value.sqlstate, statuses(service)) == ("PT409", [status])


def test_cancelling_takes_a_delivery_off_the_queue_and_refuses_its_late_result(
    service: Service, stack: Stack
) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    enqueue(service, 3)
    leased = lease(service, 1)

    one = call_as(service, stack, "admin", "select cancel_delivery(%s, %s)", webhook, leased[0]["id"])
    rest = call_as(service, stack, "admin", "select cancel_deliveries(%s)", webhook)

    assert (one["status"], rest) == ("cancelled", {"cancelled": 2, "more": False})
    assert finish(service, leased, "delivered")["late"] == 1
    assert statuses(service) == ["cancelled"] * 3


@pytest.mark.parametrize(
    ("persona", "sqlstate"),
    [
        ("anon", "42501"),
        ("outsider", "PT404"),
        ("other_owner", "PT404"),
        ("viewer", "42501"),
        ("member", "42501"),
        ("admin", None),
        ("owner", None),
    ],
)
@pytest.mark.parametrize(
    "call", ["replay_delivery", "replay_deliveries", "cancel_delivery", "cancel_deliveries"]
)
def test_only_admins_change_the_queue(
    service: Service, stack: Stack, call: str, persona: str, sqlstate: str | None
) -> None:
    webhook = make_dead(service)
    if call.startswith("cancel"):
        service.connection.execute("update webhook_deliveries set status = 'pending'")
    before = service.run("select id, status from webhook_deliveries")
    arguments = [webhook, before[0]["id"]] if call.endswith("delivery") else [webhook]
    statement = f"select {call}({', '.join('%s' for _ in arguments)})"

    refused = None
    try:
        call_as(service, stack, persona, statement, *arguments)
    except psycopg.Error as error:
        refused = error.sqlstate

    assert refused == sqlstate
    assert (service.run("select id, status from webhook_deliveries") == before) == (sqlstate is not None)


@pytest.mark.parametrize("call", ["replay_delivery", "cancel_delivery"])
def test_a_delivery_of_another_integration_is_not_found(service: Service, stack: Stack, call: str) -> None:
    make_dead(service)
    (delivery,) = service.run("select id from webhook_deliveries")
    other = service.make_integration("webhook", events=["log"])

    with pytest.raises(psycopg.Error) as refusal:
        call_as(service, stack, "admin", f"select {call}(%s, %s)", other, delivery["id"])

    assert refusal.value.sqlstate == "PT404"


def test_the_activity_says_who_replayed_what(service: Service, stack: Stack) -> None:
    webhook = make_dead(service, 2)

    replay_all(service, stack, webhook, event_type="device.telemetry")

    (entry,) = service.run("select kind, message, details from integration_activity")
    assert (entry["kind"], entry["message"]) == ("deliveries.replayed", "2 deliveries were queued again.")
    assert entry["details"] == {
        "count": 2,
        "status": "dead",
        "event_type": "device.telemetry",
        "user_id": str(stack.user("admin", 0).id),
    }


def test_a_range_that_matches_nothing_leaves_no_trace(service: Service, stack: Stack) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    service.ingest(service.make_integration(), make_messages(1))

    counts = replay_all(service, stack, webhook)

    assert counts == {"replayed": 0, "left": 0}
    assert service.run("select 1 from integration_activity") == []
