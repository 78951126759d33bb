"""Health as the view works it out: each state by what brings it about, and that it agrees with what is counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages
from tests.database.queue import enqueue, finish, lease, make_webhook


@pytest.fixture(autouse=True)
def _running(service: Service) -> None:
    service.run("select record_heartbeat('{\"sessions\": 0}')")


def read_health(service: Service, integration: str) -> Row:
    (row,) = service.run("select * from integration_health where integration_id = %s", integration)
    return row


def hush(service: Service, ago: str) -> None:
    service.connection.execute("update integration_facts set last_at = now() - %s::interval", (ago,))


def end_session(service: Service, integration: str, error: str | None) -> None:
    service.connection.execute("update integration_schedules set due_at = now()")
    leased = service.lease(integration)
    service.run(
        "select finish_session(%s, %s, %s, p_summary => '{}')", integration, leased["lease_token"], error
    )


def be_waiting(service: Service) -> str:
    return service.make_integration()


def be_healthy(service: Service) -> str:
    made = service.make_integration()
    service.ingest(made, make_messages(3))
    return made


def be_silent(service: Service) -> str:
    made = be_healthy(service)
    hush(service, "61 minutes")
    return made


def be_silent_by_its_own_time(service: Service) -> str:
    made = service.make_integration(silent_after_seconds=60)
    service.ingest(made, make_messages(3))
    hush(service, "2 minutes")
    return made


def be_quiet_by_its_own_time(service: Service) -> str:
    made = service.make_integration(silent_after_seconds=0)
    service.ingest(made, make_messages(3))
    hush(service, "2 months")
    return made


def be_half_undecodable(service: Service) -> str:
    made = be_healthy(service)
    service.ingest(made, make_messages(3, error="not JSON", payload=None, raw="%"))
    return made


def be_refused_and_silent(service: Service) -> str:
    made = be_silent(service)
    service.connection.execute(
        "update device_integrations set error_message = 'b/# is refused.' where id = %s", (made,)
    )
    return made


def be_failing(service: Service) -> str:
    made = be_healthy(service)
    end_session(service, made, "Not authorized.")
    return made


def be_off(service: Service) -> str:
    made = be_healthy(service)
    service.connection.execute("update device_integrations set status = 'inactive' where id = %s", (made,))
    return made


def be_unwanted(service: Service) -> str:
    return make_webhook(service)


def be_dead(service: Service) -> str:
    made = make_webhook(service)
    enqueue(service, 1)
    finish(service, lease(service), "dead", status_code=500)
    return made


def be_late(service: Service) -> str:
    made = make_webhook(service)
    enqueue(service, 1)
    service.connection.execute("update webhook_deliveries set due_at = now() - interval '6 minutes'")
    return made


def be_unmatched(service: Service) -> str:
    made = make_webhook(service)
    for _ in range(3):
        enqueue(service, 1)
        finish(service, lease(service), "delivered", status_code=200, missing=["payload.temprature"])
    return made


def be_delivered(service: Service) -> str:
    made = make_webhook(service)
    enqueue(service, 1)
    finish(service, lease(service), "delivered", status_code=200)
    return made


def be_refused(service: Service, most: int) -> str:
    """Of twenty deliveries so many are refused at first."""
    made = make_webhook(service)
    enqueue(service, 20)
    finish(service, lease(service, most), "retry", retry_seconds=0, status_code=500)
    while leased := lease(service):
        finish(service, leased, "delivered", status_code=200)
    service.as_owner("update private.metric_tallies set minute = minute - interval '2 minutes'")
    service.one("select sum_metrics()")
    return made


def be_often_refused(service: Service) -> str:
    return be_refused(service, 2)


def be_seldom_refused(service: Service) -> str:
    return be_refused(service, 1)


def be_left_alone(service: Service) -> str:
    made = be_healthy(service)
    end_session(service, made, None)
    service.connection.execute("update device_integrations set created_at = now() - interval '1 day'")
    service.connection.execute("update private.heartbeats set seen_at = now() - interval '5 minutes'")
    return made


STATES: list[tuple[Callable[[Service], str], str, str]] = [
    (be_waiting, "waiting", "Nothing has come yet: check that devices send"),
    (be_healthy, "healthy", "All is well."),
    (be_silent, "silent", "Nothing has come for 61 minutes"),
    (be_silent_by_its_own_time, "silent", "Nothing has come for 2 minutes"),
    (be_quiet_by_its_own_time, "healthy", "All is well."),
    (be_half_undecodable, "degraded", "50 % of the messages of the last hour could not be decoded"),
    (be_refused_and_silent, "degraded", "b/# is refused. Nothing has come for 61 minutes"),
    (be_failing, "failing", "Not authorized."),
    (be_off, "off", "It is switched off."),
    (be_unwanted, "waiting", "Nothing has been delivered yet"),
    (be_dead, "degraded", "dead letters"),
    (be_late, "degraded", "has been due for 6 minutes"),
    (be_unmatched, "degraded", "names what the last events did not have (payload.temprature)"),
    (be_delivered, "healthy", "All is well."),
    (be_often_refused, "degraded", "9 % of the attempts of the last hour failed"),
    (be_seldom_refused, "healthy", "All is well."),
    (be_left_alone, "failing", "Nobody has looked for what is due for 5 minutes"),
]


@pytest.mark.parametrize(("bring", "state", "reason"), STATES, ids=[each[0].__name__ for each in STATES])
def test_each_state_follows_from_what_happened(
    service: Service, bring: Callable[[Service], str], state: str, reason: str
) -> None:
    health = read_health(service, bring(service))

    assert (health["state"], reason in health["reason"]) == (state, True), health
    assert health["since"] <= datetime.now(UTC)


def test_what_it_counts_is_what_there_is(service: Service) -> None:
    source, webhook = service.make_integration(), make_webhook(service)
    for count in (3, 1, 7):
        messages = make_messages(count)
        service.ingest(source, messages)
        service.ingest(source, messages)
    service.ingest(source, make_messages(2, error="no", payload=None, raw="x"))
    finish(service, lease(service, 2), "dead", status_code=500)
    finish(service, lease(service, 3), "delivered", status_code=200)
    finish(service, lease(service, 1), "retry", retry_seconds=5, error="timeout: Too late.")

    health, out = read_health(service, source), read_health(service, webhook)

    assert (
        health["messages_24h"]
        == service.one("select count(*) from device_messages where integration_id = %s", source)
        == 13
    )
    assert (out["dead"], out["pending"]) == (2, 6)
    assert (out["consecutive_failures"], out["last_error"]) == (1, "timeout: Too late.")
    assert out["last_delivered_at"] is not None


def test_messages_of_24_hours_forget_what_is_older(service: Service) -> None:
    integration = service.make_integration()
    now = datetime.now(UTC)
    for hours, count in ((40, 64), (25, 32), (23, 16), (5, 8), (1, 4), (0, 2)):
        service.connection.execute(
            "insert into integration_metrics (integration_id, organization_id, minute, received, stored)"
            " values (%s, %s, date_trunc('minute', %s::timestamptz), %s, %s)",
            (integration, service.organization_id, now - timedelta(hours=hours), count, count),
        )

    assert read_health(service, integration)["messages_24h"] == 16 + 8 + 4 + 2
    late = (
        "update integration_metrics set stored = stored + 1, received = received + 1 where stored in (4, 64)"
    )
    service.connection.execute(late)
    assert read_health(service, integration)["messages_24h"] == 16 + 8 + 5 + 2


def test_messages_of_24_hours_are_over_once_nothing_has_come_for_a_day(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(5))
    service.connection.execute("update integration_facts set hour = hour - interval '24 hours'")

    assert read_health(service, integration)["messages_24h"] == 0


def test_since_is_when_it_was_first_found_so(service: Service) -> None:
    integration = be_half_undecodable(service)
    service.one("select judge_integrations(1000, 0, 3600)")
    service.connection.execute("update integration_states set since = now() - interval '10 minutes'")

    service.ingest(integration, make_messages(1, error="not JSON", payload=None, raw="%"))
    service.one("select judge_integrations(1000, 0, 3600)")

    assert datetime.now(UTC) - read_health(service, integration)["since"] > timedelta(minutes=9)


def test_the_parts_of_the_scheduler_are_seen_each_by_itself(service: Service) -> None:
    service.as_owner("delete from private.heartbeats")
    told = []
    for parts in ({}, {"sessions": 500}, {"sessions": 1, "jobs": 600}, {"jobs": 0}, {"jobs": 900}):
        service.run("select record_heartbeat(%s)", Jsonb(parts))
        service.connection.execute("reset role")
        told.append(service.one("select private.show_scheduler()"))
        service.connection.execute("set local role service_role")

    assert [each["state"] for each in told] == ["never", "silent", "partial", "running", "running"]
    assert set(told[-1]["parts"]) == {"jobs", "sessions"}
    assert told[0]["last_seen_at"] is None


def test_a_part_that_stands_still_fails_what_it_works_for_and_nothing_else(service: Service) -> None:
    source, webhook = be_left_alone(service), make_webhook(service)
    service.connection.execute("update device_integrations set created_at = now() - interval '1 day'")
    states = []
    for parts in (
        {"sessions": 0, "deliveries": 300},
        {"sessions": 300, "deliveries": 0},
        {"sessions": 0, "deliveries": 0},
    ):
        service.as_owner("delete from private.heartbeats")
        service.run("select record_heartbeat(%s)", Jsonb(parts))
        states.append([read_health(service, each)["state"] for each in (source, webhook)])

    assert states == [["healthy", "failing"], ["failing", "waiting"], ["healthy", "waiting"]]


@pytest.mark.parametrize("late", ["replayed_at = now()", "ordering_key = gen_random_uuid()", "attempts = 0"])
def test_what_is_late_is_seen_behind_ten_thousand_that_are_not(service: Service, late: str) -> None:
    webhook = make_webhook(service)
    row = (
        "insert into webhook_deliveries (organization_id, integration_id, event_type, message_id,"
        " message_received_at, attempts, due_at)"
        " select %s, %s, 'x', gen_random_uuid(), now(), 1, now() + %s::interval from generate_series(1, %s)"
    )
    service.connection.execute(row, (service.organization_id, webhook, "1 hour", 10_001))
    service.connection.execute(row, (service.organization_id, webhook, "-3 hours", 1))
    service.connection.execute(f"update webhook_deliveries set {late} where due_at < now()")

    health = read_health(service, webhook)

    assert (health["state"], health["pending"]) == ("degraded", 10_000)
    assert "has been due for 3 hours" in health["reason"]


def test_a_part_that_begins_tick_after_tick_and_never_answers_stands_still(service: Service) -> None:
    service.as_owner("delete from private.heartbeats")
    begun = Jsonb({"sessions": 0, "deliveries": None})
    first = service.one("select record_heartbeat(%s)", begun)
    service.connection.execute("update private.heartbeats set seen_at = now() - interval '5 minutes'")

    second = service.one("select record_heartbeat(%s)", begun)

    service.connection.execute("reset role")
    assert (first, second) == ([], ["deliveries"])
    assert service.one("select private.show_scheduler()")["state"] == "partial"
