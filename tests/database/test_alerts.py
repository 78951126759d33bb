"""Alerts while they last: damped where they flap, acknowledged, never told to the webhook that they are about."""

from __future__ import annotations

import psycopg
import pytest

from tests.database.fixtures import Service, make_messages
from tests.database.people import become
from tests.database.queue import finish, lease, make_webhook
from tests.database.test_alert_kinds import (
    end_session_well,
    fail_session,
    judge,
    list_open,
    listener,
    note,
    pass_minutes,
    tell_of,
)
from tests.stack import Stack

__all__ = ["listener"]


def flap(service: Service, integration: str, status: str) -> None:
    service.connection.execute(
        "update device_integrations set status = %s, sync_status = 'failed', error_message = %s where id = %s",
        (status, "Away." if status == "error" else None, integration),
    )


def test_what_flaps_is_told_twice_at_most_and_its_end_once_it_is_calm(
    service: Service, listener: str
) -> None:
    integration = service.make_integration()
    for _ in range(10):
        flap(service, integration, "error")
        flap(service, integration, "active")
    judge(service)
    flapping = tell_of(service, listener)

    service.connection.execute(
        "update alerts set resolved_at = now() - interval '11 minutes' where resolved_at is not null"
    )
    judge(service)

    rows = service.run("select flaps from alerts where kind = 'integration.failing' order by id")
    raised, resolved = (("alert.raised", "integration.failing"), ("alert.resolved", "integration.failing"))
    assert [row["flaps"] for row in rows] == [0, 9]
    assert flapping == [raised, resolved, raised]
    assert tell_of(service, listener) == [raised, resolved, raised, resolved]


def test_a_webhook_is_never_told_what_is_wrong_with_itself(service: Service, listener: str) -> None:
    both = make_webhook(service, events=["*", "alert.*"])
    service.ingest(service.make_integration(), make_messages(1))
    finish(service, lease(service), "dead", status_code=500)

    judge(service)

    assert ("alert.raised", "delivery.dead") in tell_of(service, listener)
    assert tell_of(service, both) == []


def test_two_dead_webhooks_do_not_tell_each_other_for_ever(service: Service, listener: str) -> None:
    other = make_webhook(service, events=["*", "alert.*"])
    service.ingest(service.make_integration(), make_messages(1))
    for _ in range(10):
        finish(service, lease(service), "dead", status_code=500)
        judge(service)

    assert len(tell_of(service, listener)) <= 3
    assert len(tell_of(service, other)) <= 3


def test_a_star_stays_the_events_of_devices(service: Service, listener: str) -> None:
    everything = make_webhook(service, events=["*"])
    flap(service, service.make_integration(), "error")

    assert tell_of(service, listener) == [("alert.raised", "integration.failing")]
    assert tell_of(service, everything) == []


def test_a_deleted_integration_ends_its_alerts(service: Service, listener: str) -> None:
    integration = service.make_integration()
    flap(service, integration, "error")

    service.connection.execute("delete from device_integrations where id = %s", (integration,))

    kinds = ["alert.raised", "alert.resolved"]
    assert tell_of(service, listener) == [(event, "integration.failing") for event in kinds]
    assert service.one("select count(*) from alerts") == 0


@pytest.mark.usefixtures("listener")
def test_what_can_not_be_judged_keeps_nobody_else_from_it(service: Service) -> None:
    broken, whole = service.make_integration(), service.make_integration()
    for integration in (broken, whole):
        service.ingest(integration, make_messages(1))
    service.connection.execute("update integration_facts set last_at = now() - interval '2 hours'")
    service.as_owner(
        "create function public.break_one() returns trigger language plpgsql"
        " as $$ begin raise exception 'broken'; end $$"
    )
    service.as_owner(
        "create trigger break_one before insert on public.alerts for each row"
        f" when (new.integration_id = '{broken}') execute function public.break_one()"
    )

    judged = service.one("select judge_integrations(1000, 0, 3600)")

    assert list(judged["broken"]) == [broken]
    assert "broken" in judged["broken"][broken]
    silent = service.run("select integration_id from alerts where kind = 'integration.silent'")
    assert [str(row["integration_id"]) for row in silent] == [whole]


def test_a_member_acknowledges_and_a_viewer_does_not(service: Service, stack: Stack) -> None:
    integration = service.make_integration()
    flap(service, integration, "error")
    alert = service.one("select id from alerts")
    connection = service.connection
    become(connection, stack.user("viewer", 0))  # type: ignore[arg-type]

    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute("select acknowledge_alert(%s)", (alert,))
    become(connection, stack.user("owner", 1))  # type: ignore[arg-type]
    with pytest.raises(psycopg.DatabaseError, match="no such alert"), connection.transaction():
        connection.execute("select acknowledge_alert(%s)", (alert,))
    become(connection, stack.user("member", 0))  # type: ignore[arg-type]
    seen = [service.one("select acknowledge_alert(%s)", alert) for _ in range(2)]

    assert {each["acknowledged_by"] for each in seen} == {stack.user("member", 0).id}
    assert seen[0] == seen[1]
    connection.execute("reset role")
    assert (
        service.one(
            "select count(*) from audit_log where row_id = %s and changed ? 'acknowledged'", integration
        )
        == 1
    )


def test_what_gets_worse_wants_somebody_anew(service: Service, stack: Stack) -> None:
    integration = service.make_integration()
    raise_it = (
        "insert into alerts (organization_id, integration_id, kind, level, message)"
        " values (%s, %s, 'test', %s, 'x')"
    )
    taken = []
    for level in ("warning", "warning", "error", "error", "warning", "error"):
        service.connection.execute(raise_it, (service.organization_id, integration, level))
        taken.append(service.one("select acknowledged_by is not null from alerts"))
        service.connection.execute(
            "update alerts set acknowledged_at = now(), acknowledged_by = %s", (stack.user("member", 0).id,)
        )

    assert taken == [False, True, False, True, True, True]


def test_what_goes_up_and_down_is_told_as_it_first_rises_and_keeps_whoever_took_it_on(
    service: Service, listener: str
) -> None:
    webhook = make_webhook(service, rate_limit_per_minute=100)
    service.as_owner("select private.lock_endpoints(array[%s::uuid])", webhook)
    for turn, sent in enumerate((95, 100, 95, 100, 95, 100)):
        service.as_owner("delete from private.webhook_sends where integration_id = %s", webhook)
        service.as_owner("insert into private.webhook_sends values (%s, now(), %s)", webhook, sent)
        judge(service)
        if turn == 1:
            service.connection.execute("update alerts set acknowledged_at = now()")
        pass_minutes(service, 2)

    (alert,) = service.run(
        "select level, acknowledged_at is not null as taken, flaps, resolved_at from alerts"
    )
    assert tell_of(service, listener) == [("alert.raised", "rate_limit.reached")] * 2
    assert alert == {"level": "error", "taken": True, "flaps": 0, "resolved_at": None}


def drown(service: Service, devices: int) -> str:
    """An integration whose devices have all been silent for long, first in line."""
    integration = service.make_integration()
    service.connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name, status, last_seen_at)"
        " select %s, %s, n::text, 'x', 'online', now() - interval '1 day' from generate_series(1, %s) n",
        (service.organization_id, integration, devices),
    )
    return integration


def put_in_line(service: Service, *integrations: str) -> None:
    for place, integration in enumerate(integrations):
        service.connection.execute(
            "update integration_states set judged_at = now() - make_interval(mins => %s) where integration_id = %s",
            (100 - place, integration),
        )


def read_line(service: Service) -> list[str]:
    rows = service.run("select integration_id::text from integration_states where judged_at < now()")
    return [row["integration_id"] for row in rows]


@pytest.mark.parametrize("seconds", [0, 3600])
def test_whoever_takes_a_round_s_time_or_work_ends_it_and_is_judged(service: Service, seconds: int) -> None:
    storm = drown(service, 5000 if seconds else 1)
    other = service.make_integration()
    put_in_line(service, storm, other)

    first = service.one("select judge_integrations(100, 60, %s)", seconds)
    left = read_line(service)
    second = service.one("select judge_integrations(100, 60, 3600)")

    assert (first["judged"], first["is_full"], first["broken"]) == (1, True, {})
    assert left == [other]
    assert (second["judged"], second["is_full"], read_line(service)) == (1, False, [])


def test_one_that_runs_into_the_statement_timeout_moves_on_in_line(service: Service) -> None:
    storm, other = drown(service, 1), service.make_integration()
    put_in_line(service, storm, other)
    service.as_owner(
        "create function public.time_out() returns trigger language plpgsql"
        " as $$ begin raise exception using errcode = 'query_canceled'; end $$"
    )
    service.as_owner(
        "create trigger time_out before update of status on public.devices for each row"
        " execute function public.time_out()"
    )

    first = service.one("select judge_integrations(100, 60, 3600)")

    assert (list(first["broken"]), first["judged"], first["is_full"]) == ([storm], 1, True)
    assert read_line(service) == [other]


def test_alerts_that_end_by_themselves_end_as_far_as_there_is_time(service: Service, listener: str) -> None:
    for integration in [service.make_integration() for _ in range(2)]:
        note(service, integration, "warning", "broker.overflowed")
    pass_minutes(service, 61)

    told = [service.one("select judge_integrations(0, 60, 0)")["told"] for _ in range(3)]

    assert told == [1, 1, 0]
    assert tell_of(service, listener).count(("alert.resolved", "broker.overflowed")) == 2


@pytest.mark.usefixtures("listener")
@pytest.mark.parametrize(
    ("status", "error", "state"), [("active", "b/# is refused.", "degraded"), ("error", "Away.", "failing")]
)
@pytest.mark.parametrize("is_silent_first", [True, False])
def test_silence_is_silence_behind_another_trouble(
    service: Service, status: str, error: str, state: str, *, is_silent_first: bool
) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1))
    steps = [
        "update integration_facts set last_at = now() - interval '2 hours'",
        f"update device_integrations set status = '{status}', error_message = '{error}' where id = '{integration}'",
    ]
    for step in steps if is_silent_first else reversed(steps):
        service.as_owner(step)
        judge(service)

    (health,) = service.run(
        "select state, reason from integration_health where integration_id = %s", integration
    )
    alerts = service.run(
        "select message, resolved_at from alerts where integration_id = %s and kind = 'integration.silent'",
        integration,
    )
    assert health["state"] == state
    assert [(row["message"][:31], row["resolved_at"]) for row in alerts] == [
        ("Nothing has come for 2 hours, w", None)
    ]


def test_a_broker_that_was_away_has_not_replaced_its_certificate(service: Service, listener: str) -> None:
    integration = service.make_integration()
    note(service, integration, "warning", "certificate.broker", "error")
    service.connection.execute(
        """update integration_schedules set state = '{"told": ["certificate.broker.1"]}'"""
        " where integration_id = %s",
        (integration,),
    )
    fail_session(service, integration, "unreachable")

    end_session_well(service, integration)

    assert service.run("select status from device_integrations where id = %s", integration) == [
        {"status": "active"}
    ]
    assert list_open(service, integration) == {"certificate.broker": "error"}
    assert ("alert.resolved", "certificate.broker") not in tell_of(service, listener)

    note(service, integration, "info", "certificate.broker")

    assert list_open(service, integration) == {}


@pytest.mark.usefixtures("listener")
def test_what_a_session_has_told_it_tells_again_once_it_is_switched_on(service: Service) -> None:
    integration = service.make_integration()
    note(service, integration, "warning", "certificate.client")
    service.connection.execute(
        """update integration_schedules set state = '{"told": ["certificate.client.7"]}'"""
        " where integration_id = %s",
        (integration,),
    )
    for status in ("inactive", "active"):
        service.connection.execute(
            "update device_integrations set status = %s where id = %s", (status, integration)
        )

    assert list_open(service, integration) == {}
    assert not service.one(
        "select state ? 'told' from integration_schedules where integration_id = %s", integration
    )
