"""Leases of sessions: one holder at a time, late ones refused, failures told and backed off."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Service


def finish(service: Service, lease: dict[str, object], error: str | None = None, due: float = 0) -> None:
    service.run("select finish_session(%s, %s, %s, %s)", lease["id"], lease["lease_token"], error, due)


def test_a_new_integration_is_due_at_once_and_leased_to_one_only(service: Service) -> None:
    integration = service.make_integration()

    lease = service.lease(integration)

    assert lease["state"] == {}
    assert service.run("select * from lease_sessions(100, 30)") == []


def test_a_lease_that_ran_out_goes_to_the_next_and_the_late_holder_is_refused(service: Service) -> None:
    integration = service.make_integration()
    late = service.lease(integration)
    service.connection.execute("update integration_schedules set due_at = now() - interval '1 s'")
    service.lease(integration)

    with pytest.raises(psycopg.Error) as refusal:
        finish(service, late)

    assert refusal.value.sqlstate == "PT409"


def test_a_finished_session_is_due_again_at_once_or_after_its_interval(service: Service) -> None:
    integration = service.make_integration()
    finish(service, service.lease(integration))

    finish(service, service.lease(integration), due=600)

    assert service.run("select * from lease_sessions(100, 30)") == []
    (row,) = service.run(
        "select status, sync_status, last_sync_at from device_integrations where id = %s", integration
    )
    assert (row["status"], row["sync_status"]) == ("active", "ok")
    assert row["last_sync_at"] is not None


def test_failures_back_off_further_each_time_and_a_success_starts_over(service: Service) -> None:
    integration = service.make_integration()
    waits = []
    for _ in range(4):
        service.connection.execute("update integration_schedules set due_at = now()")
        finish(service, service.lease(integration), "The broker is away.")
        waits.append(
            service.one("select extract(epoch from due_at - now())::float from integration_schedules")
        )
    service.connection.execute("update integration_schedules set due_at = now()")
    finish(service, service.lease(integration))

    assert all(0.8 * 15 * 2**n <= wait <= 1.2 * 15 * 2**n for n, wait in enumerate(waits))
    assert service.one("select attempts from integration_schedules") == 0


def test_a_failure_is_told_once_and_so_is_the_recovery(service: Service) -> None:
    integration = service.make_integration()
    for error in ("Away.", "Away.", None, None):
        service.connection.execute("update integration_schedules set due_at = now()")
        finish(service, service.lease(integration), error)

    rows = service.run("select kind, level, message from integration_activity order by id")

    assert [tuple(row.values()) for row in rows] == [
        ("session.failed", "error", "Away."),
        ("session.recovered", "info", "The connection works again."),
    ]


def test_one_alert_is_open_while_it_fails(service: Service) -> None:
    integration = service.make_integration()
    seen = []
    for error in (None, "Away.", "Not authorized.", None):
        service.connection.execute("update integration_schedules set due_at = now()")
        finish(service, service.lease(integration), error)
        seen.append(list_alerts(service))

    # Updated while it lasts.
    assert seen == [[], [("Away.", True)], [("Not authorized.", True)], [("Not authorized.", False)]]


def test_a_change_that_mends_nothing_is_alerted_anew(service: Service) -> None:
    integration = service.make_integration()
    finish(service, service.lease(integration), "Not authorized.")
    service.connection.execute("update device_integrations set settings = '{\"a\": 1}'")
    changed = list_alerts(service)

    finish(service, service.lease(integration), "Not authorized.")

    assert changed == [("Not authorized.", False)]
    assert list_alerts(service) == [("Not authorized.", False), ("Not authorized.", True)]


def test_a_note_with_an_alert_raises_it_once_and_a_good_one_ends_it(service: Service) -> None:
    integration = service.make_integration()
    seen = []
    for level, words in (("warning", "Ends soon."), ("warning", "Ends tomorrow."), ("info", "Was replaced.")):
        note = {"level": level, "message": words, "alert": "certificate.broker"}
        other = {"level": "info", "message": "Not about it.", "alert": None}
        service.run("select record_activity(%s, 'session', %s)", integration, Jsonb([note, other]))
        seen.append(service.run("select kind, level, message, resolved_at is null as open from alerts"))

    first = {"kind": "certificate.broker", "level": "warning", "message": "Ends soon.", "open": True}
    later = first | {"message": "Ends tomorrow."}
    assert seen == [[first], [later], [later | {"open": False}]]
    assert service.one("select count(*) from integration_activity") == 6


def list_alerts(service: Service) -> list[tuple[str, bool]]:
    """The words of each alert, and whether it is open."""
    alerts = service.run("select kind, message, resolved_at is null as open from alerts order by id")
    assert {alert["kind"] for alert in alerts} <= {"integration.failing"}
    return [(alert["message"], alert["open"]) for alert in alerts]


@pytest.mark.parametrize("change", ["settings = '{\"a\": 1}'", "seal_count = 1", "status = 'inactive'"])
def test_a_changed_integration_takes_the_lease_from_whoever_works_by_the_old_config(
    service: Service, change: str
) -> None:
    integration = service.make_integration()
    lease = service.lease(integration)

    service.connection.execute(f"update device_integrations set {change}")

    with pytest.raises(psycopg.Error) as refusal:
        finish(service, lease)
    assert refusal.value.sqlstate == "PT409"


def test_a_renamed_integration_keeps_its_lease(service: Service) -> None:
    integration = service.make_integration()
    lease = service.lease(integration)

    service.connection.execute("update device_integrations set name = 'Renamed'")
    finish(service, lease)

    assert service.one("select lease_token from integration_schedules") is None


def test_an_inactive_integration_is_never_due_until_it_is_active_again(service: Service) -> None:
    integration = service.make_integration()
    service.connection.execute("update device_integrations set status = 'inactive'")
    while_inactive = service.run("select * from lease_sessions(100, 30)")

    service.connection.execute("update device_integrations set status = 'active'")

    assert while_inactive == []
    assert service.lease(integration)


def test_a_parked_integration_is_due_again_when_it_is_changed(service: Service) -> None:
    integration = service.make_integration("webhook")
    lease = service.lease(integration)
    service.run("select park_session(%s, %s)", lease["id"], lease["lease_token"])
    parked = service.run("select * from lease_sessions(100, 30)")

    service.connection.execute("update device_integrations set settings = '{\"a\": 1}'")

    assert parked == []
    assert service.lease(integration)


@pytest.mark.parametrize(
    "call", ["renew_session(%s, %s, 30)", "park_session(%s, %s)", "finish_session(%s, %s)"]
)
def test_nobody_without_the_token_moves_a_schedule(service: Service, call: str) -> None:
    integration = service.make_integration()
    service.lease(integration)

    with pytest.raises(psycopg.Error) as refusal:
        service.run(f"select {call}", integration, uuid.uuid4())

    assert refusal.value.sqlstate == "PT409"


REFUSED = "The broker refused the topic 'secret/#': this user is not authorized for it."


def test_what_was_refused_is_named_and_logged_once_while_the_rest_works(service: Service) -> None:
    integration = service.make_integration()
    notes = Jsonb([{"level": "error", "message": REFUSED}, {"level": "warning", "message": "QoS 0 only."}])
    for _ in range(2):
        lease = service.lease(integration)
        service.run("select record_activity(%s, 'session', %s)", integration, notes)
        finish_with(service, lease, {"refused": REFUSED})

    (row,) = service.run("select status, error_message from device_integrations where id = %s", integration)
    logged = service.run("select message from integration_activity where level = 'error'")
    assert (row["status"], row["error_message"]) == ("active", REFUSED)
    assert [entry["message"] for entry in logged] == [REFUSED]


def test_a_session_that_was_refused_nothing_clears_the_message_and_says_so(service: Service) -> None:
    integration = service.make_integration()
    finish_with(service, service.lease(integration), {"refused": REFUSED})

    finish_with(service, service.lease(integration), {"messages": 3})

    (row,) = service.run("select error_message, last_session from device_integrations")
    assert (row["error_message"], row["last_session"]) == (None, {"messages": 3})
    assert service.one("select kind from integration_activity") == "session.recovered"


def finish_with(service: Service, lease: dict[str, object], summary: dict[str, object]) -> None:
    service.run(
        "select finish_session(%s, %s, p_summary => %s)", lease["id"], lease["lease_token"], Jsonb(summary)
    )


def renew(service: Service, lease: dict[str, object], *, idle: bool = True) -> bool:
    yields: bool = service.one(
        "select renew_session(%s, %s, 30, %s)", lease["id"], lease["lease_token"], idle
    )
    return yields


def test_an_idle_session_gives_way_to_one_that_waits_and_says_so_once(service: Service) -> None:
    lease = service.lease(service.make_integration())
    alone = renew(service, lease)
    waiting = service.make_integration()
    service.connection.execute(
        "update integration_schedules set due_at = now() - interval '6 s' where integration_id = %s",
        (waiting,),
    )

    told = [renew(service, lease) for _ in range(2)]

    assert (alone, told, renew(service, lease, idle=False)) == (False, [True, True], False)
    assert service.one("select kind from integration_activity") == "session.yielded"


def test_nobody_gives_way_to_an_organization_that_has_more(service: Service) -> None:
    organization_id = str(uuid.uuid4())
    service.as_owner("insert into organizations (id, name) values (%s, 'Small')", organization_id)
    small = Service(service.connection, organization_id)
    lease = small.lease(small.make_integration())
    held = [service.make_integration() for _ in range(3)]
    assert len(service.run("select * from lease_sessions(100, 30)")) == len(held)
    service.make_integration()
    service.connection.execute(
        "update integration_schedules set due_at = now() - interval '6 s' where lease_token is null"
    )

    assert renew(small, lease) is False
