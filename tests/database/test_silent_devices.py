"""Devices that fall silent, come back, lose their integration, and are met again under another."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages
from tests.database.queue import lease, make_webhook


@pytest.fixture(autouse=True)
def _alone(service: Service) -> None:
    service.as_owner("delete from devices")  # which tests of other modules have left


def read_devices(service: Service) -> list[Row]:
    return service.run(
        "select id::text, external_id, status, silent_since, integration_id::text, name"
        " from devices order by external_id"
    )


def hush(service: Service, seconds: int) -> None:
    service.connection.execute(
        "update devices set last_seen_at = last_seen_at - make_interval(secs => %s)", (seconds,)
    )
    service.connection.execute("update integration_states set swept_at = 'epoch'")


def judge(service: Service) -> None:
    assert service.one("select judge_integrations(1000, 0, 3600)")["broken"] == {}


def list_events(service: Service) -> list[tuple[str, Any]]:
    return [
        (delivery["event_type"], delivery["device"] and delivery["device"]["external_id"])
        for delivery in lease(service)
    ]


def test_a_device_that_says_nothing_for_an_hour_is_offline_and_told_of(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, "a"))
    hush(service, 1800)
    service.ingest(integration, make_messages(1, "b"))
    make_webhook(service, events=["device.offline", "device.online"])
    hush(service, 1900)

    judge(service)
    silent = read_devices(service)
    offline = list_events(service)
    service.ingest(integration, make_messages(1, "a"))

    assert [(row["status"], bool(row["silent_since"])) for row in silent] == [
        ("offline", True),
        ("online", False),
    ]
    assert offline == [("device.offline", "a")]
    assert list_events(service) == [("device.online", "a")]
    assert [(row["status"], row["silent_since"]) for row in read_devices(service)] == [("online", None)] * 2


def test_the_time_is_the_integration_s_own_and_zero_is_never(service: Service) -> None:
    for seconds, device in ((60, "soon"), (0, "never")):
        service.ingest(service.make_integration(offline_after_seconds=seconds), make_messages(1, device))
    hush(service, 5_000_000)

    judge(service)

    assert {row["external_id"]: row["status"] for row in read_devices(service)} == {
        "soon": "offline",
        "never": "online",
    }


def test_whoever_has_a_word_of_its_own_is_left_to_it(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, "listed"))
    service.connection.execute(
        "insert into device_links (device_id, organization_id, integration_id, remote_id, status)"
        " select id, organization_id, integration_id, 'remote', 'linked' from devices"
    )
    hush(service, 7200)

    judge(service)

    assert [row["status"] for row in read_devices(service)] == ["online"]


def test_a_copy_that_a_broker_kept_does_not_revive(service: Service) -> None:
    integration = service.make_integration()
    birth: Row = {
        "event_id": "birth",
        "device": "a",
        "kind": "state",
        "topic": "a/status",
        "payload": "online",
    }
    birth |= {"device_status": "online", "retained": True}
    service.ingest(integration, make_messages(1, "a"))
    service.run("select ingest_retained(%s, %s)", integration, Jsonb([birth]))
    hush(service, 7200)
    judge(service)

    service.run("select ingest_retained(%s, %s)", integration, Jsonb([birth]))

    assert [row["status"] for row in read_devices(service)] == ["offline"]


def test_a_large_fleet_is_looked_through_in_steps(service: Service) -> None:
    integration = service.make_integration()
    service.connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name, status, last_seen_at)"
        " select %s, %s, to_char(n, 'FM00000'), 'x', 'online', now() - interval '1 day'"
        " from generate_series(1, 6000) n",
        (service.organization_id, integration),
    )
    counts = []
    for _ in range(2):
        judge(service)
        counts.append(service.one("select count(*) from devices where status = 'offline'"))

    assert counts == [5000, 6000]


def test_the_devices_of_a_deleted_integration_are_not_online_for_ever(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, "a"))

    service.connection.execute("delete from device_integrations where id = %s", (integration,))

    assert [(row["status"], row["integration_id"]) for row in read_devices(service)] == [("unknown", None)]


def test_a_device_is_taken_over_when_its_broker_comes_back(service: Service) -> None:
    first = service.make_integration()
    service.ingest(first, make_messages(2, "a"))
    service.connection.execute("update devices set name = 'Pump in the cellar'")
    before = read_devices(service)
    service.connection.execute("delete from device_integrations where id = %s", (first,))
    webhook = make_webhook(service, ordered="device")

    second = service.make_integration()
    service.ingest(second, [*make_messages(1, "a"), *make_messages(1, "b")])
    service.ingest(second, make_messages(1, "a"))

    a, b = read_devices(service)
    assert (a["id"], a["name"], a["status"]) == (before[0]["id"], "Pump in the cellar", "online")
    assert (a["integration_id"], b["integration_id"]) == (second, second)
    assert service.one("select count(*) from device_messages where device_id = %s", a["id"]) == 4
    assert service.one("select device_count from device_integrations where id = %s", second) == 2
    keys = service.run(
        "select distinct ordering_key::text as key from webhook_deliveries where integration_id = %s", webhook
    )
    assert {row["key"] for row in keys} == {a["id"], b["id"]}


def test_the_devices_of_what_is_switched_off_are_unknown_and_nobody_is_told(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, "a"))
    make_webhook(service, events=["device.offline", "device.online"])
    service.connection.execute(
        "update device_integrations set status = 'inactive' where id = %s", (integration,)
    )
    hush(service, 3700)

    judge(service)
    off = read_devices(service)
    service.connection.execute(
        "update device_integrations set status = 'active' where id = %s", (integration,)
    )
    service.ingest(integration, make_messages(1, "a"))

    assert [(row["status"], row["silent_since"]) for row in off] == [("unknown", None)]
    assert [row["status"] for row in read_devices(service)] == ["online"]
    assert list_events(service) == []


def test_no_round_tells_more_than_five_thousand_webhooks_and_all_are_told_in_the_end(
    service: Service,
) -> None:
    integration = service.make_integration()
    service.connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name, status, last_seen_at)"
        " select %s, %s, to_char(n, 'FM0000'), 'x', 'online', now() - interval '1 day' from generate_series(1, 300) n",
        (service.organization_id, integration),
    )
    service.connection.execute(
        "insert into device_integrations (organization_id, integration_type, name, settings)"
        " select %s, 'webhook', 'w' || n, '{\"events\": [\"device.*\"]}' from generate_series(1, 80) n",
        (service.organization_id,),
    )
    counts = []
    for _ in range(5):
        judge(service)
        counts.append(service.one("select count(*) from webhook_deliveries"))

    # Of each 62 devices, which with 80 webhooks make 5,022 steps.
    assert counts == [4960, 9920, 14_880, 19_840, 24_000]
    assert service.one("select count(*) from devices where status = 'online'") == 0


@pytest.mark.parametrize("days", [0.04, 8, 60])
def test_a_device_that_may_be_silent_for_long_raises_the_alert_for_a_week_too(
    service: Service, days: float
) -> None:
    seconds = int(days * 86_400)
    service.ingest(service.make_integration(offline_after_seconds=seconds), make_messages(1, "a"))
    hush(service, seconds + 60)
    raised = "select count(*) from alerts where kind = 'devices.silent' and resolved_at is null"

    judge(service)
    first = service.one(raised)
    service.connection.execute("update devices set silent_since = silent_since - interval '7 days'")
    judge(service)

    assert (first, service.one(raised)) == (1, 0)
