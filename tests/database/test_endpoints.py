"""How an endpoint is doing: circuit, alerts, switching off, and coming back."""

from __future__ import annotations

from tests.database.fixtures import Row, Service
from tests.database.queue import enqueue, finish, lease, make_webhook, pass_time

DAY = 86_400


def fail_often(service: Service, times: int = 10) -> str:
    """A webhook of which that many attempts in a row have failed, with more waiting."""
    webhook = make_webhook(service)
    enqueue(service, times + 5)
    finish(service, lease(service, times), "retry", retry_seconds=0, status_code=503)
    return webhook


def show(service: Service, webhook: str) -> Row:
    (row,) = service.run(
        "select status, error_message, circuit, failures from device_integrations i"
        " join webhook_endpoints e on e.integration_id = i.id where i.id = %s",
        webhook,
    )
    return row


def open_alerts(service: Service) -> list[str]:
    return [row["kind"] for row in service.run("select kind from alerts where resolved_at is null")]


def test_ten_failures_in_a_row_open_the_circuit_and_raise_an_alert(service: Service) -> None:
    webhook = fail_often(service)

    shown = show(service, webhook)

    assert lease(service) == []
    assert (shown["status"], shown["circuit"]) == ("error", "open")
    assert "503" in shown["error_message"]
    assert open_alerts(service) == ["webhook.failing"]


def test_nine_failures_leave_it_closed(service: Service) -> None:
    webhook = fail_often(service, 9)

    assert (show(service, webhook)["circuit"], open_alerts(service)) == ("closed", [])


def test_one_probe_at_a_time_goes_out_and_its_failure_doubles_the_pause(service: Service) -> None:
    fail_often(service)
    pass_time(service, 31)

    probe, more = lease(service), lease(service)
    finish(service, probe, "retry", retry_seconds=0, status_code=503)
    pass_time(service, 31)
    too_early = lease(service)
    pass_time(service, 31)

    assert (len(probe), more, too_early) == (1, [], [])
    assert len(lease(service)) == 1


def test_a_success_closes_the_circuit_and_resolves_the_alert(service: Service) -> None:
    webhook = fail_often(service)
    pass_time(service, 31)

    finish(service, lease(service), "delivered", status_code=200)

    assert show(service, webhook) == {
        "status": "active",
        "error_message": None,
        "circuit": "closed",
        "failures": 0,
    }
    assert open_alerts(service) == []
    assert len(lease(service)) == 10


def test_a_change_of_the_config_closes_the_circuit(service: Service) -> None:
    webhook = fail_often(service)

    service.connection.execute(
        'update device_integrations set settings = settings || \'{"url": "other"}\' where id = %s', (webhook,)
    )

    assert len(lease(service)) == 10
    assert open_alerts(service) == []


def test_what_was_under_way_when_the_circuit_opened_does_not_lengthen_the_pause(service: Service) -> None:
    make_webhook(service, max_concurrent=20)
    enqueue(service, 20)
    under_way = lease(service)

    finish(service, under_way[:10], "retry", retry_seconds=0)
    finish(service, under_way[10:], "retry", retry_seconds=0)

    assert service.one("select pause_seconds from webhook_endpoints") == 30


def test_five_days_of_nothing_but_failures_switch_it_off_with_an_alert(service: Service) -> None:
    webhook = fail_often(service)
    pass_time(service, 5 * DAY)

    finish(service, lease(service), "retry", retry_seconds=0, error="timeout: no answer")

    shown = show(service, webhook)
    assert shown["status"] == "inactive"
    assert "timeout" in shown["error_message"]
    assert open_alerts(service) == ["webhook.disabled"]
    assert lease(service) == []


def test_failures_far_apart_do_not_switch_it_off(service: Service) -> None:
    webhook = fail_often(service, 2)
    pass_time(service, 6 * DAY)

    finish(service, lease(service, 1), "retry", retry_seconds=0)

    assert show(service, webhook)["status"] == "active"


def test_gone_switches_it_off_and_switching_it_on_again_forgets_why(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 3)

    finish(service, lease(service, 1), "dead", status_code=410)
    gone = (show(service, webhook), open_alerts(service), lease(service))
    service.connection.execute("update device_integrations set status = 'active' where id = %s", (webhook,))

    assert (gone[0]["status"], gone[1], gone[2]) == ("inactive", ["webhook.gone"], [])
    assert (show(service, webhook)["error_message"], open_alerts(service)) == (None, [])
    assert len(lease(service)) == 2


def test_what_can_not_be_sent_costs_no_attempt_and_shows_the_reason(service: Service) -> None:
    webhook = make_webhook(service, retry_schedule=[])
    enqueue(service, 2)

    counts = finish(service, lease(service), "unsent", error="url: is missing")

    shown = show(service, webhook)
    assert counts["unsent"] == 2
    assert (shown["status"], shown["error_message"]) == ("error", "url: is missing")
    assert lease(service) == []
    pass_time(service, 61)
    assert [row["attempts"] for row in lease(service)] == [1]


def test_alerts_are_written_into_the_activity_too(service: Service) -> None:
    webhook = fail_often(service)
    pass_time(service, 31)
    finish(service, lease(service), "delivered")

    rows = service.run("select kind from integration_activity where integration_id = %s order by id", webhook)

    assert [row["kind"] for row in rows] == ["webhook.failing", "alert.resolved"]
