"""`ingest_retained`: what a broker has kept is stored once and is no sign of life; `confirm_session`."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages

TOPIC = "site/a/status"
AT = "2026-01-02T03:04:05+00:00"


def say(device_status: str | None = None, event_id: str = "retained-1", **fields: Any) -> Row:
    """A retained copy on `TOPIC`; with a status a state."""
    payload = {"status": device_status} if device_status else {"temperature": 0}
    told = {"event_id": event_id, "topic": TOPIC, "payload": payload, "retained": True}
    (message,) = (message | told | fields for message in make_messages(1))
    return message | ({"device_status": device_status, "kind": "state"} if device_status else {})


def ingest_retained(service: Service, integration: str, *messages: Row) -> Row:
    counts: Row = service.one("select ingest_retained(%s, %s)", integration, Jsonb(messages))
    return counts


def make_older(service: Service, integration: str, interval: str) -> None:
    """What one transaction stores has one time; what is stored now came before what follows."""
    service.connection.execute("reset role")
    service.connection.execute("select private.make_message_partition(current_date - 7)")
    service.connection.execute(
        "update device_messages set received_at = received_at - %s::interval where integration_id = %s",
        [interval, integration],
    )
    service.connection.execute("set local role service_role")


def hear(service: Service, integration: str) -> None:
    """Have the device say something live, elsewhere, as it did at AT."""
    service.ingest(integration, make_messages(1, topic="site/a/t", observed_at=AT))


def find_device(service: Service, integration: str) -> Row:
    (device,) = service.run("select status, last_seen_at from devices where integration_id = %s", integration)
    return device


def test_a_copy_of_what_was_live_is_a_duplicate_under_any_id(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, topic=TOPIC))

    counts = [
        ingest_retained(service, integration, say(event_id=f"retained-{number}")) for number in range(3)
    ]

    assert [(count["received"], count["stored"], count["duplicates"]) for count in counts] == [(1, 0, 1)] * 3


def test_thousands_of_copies_stay_as_many_after_a_session_is_lost(service: Service) -> None:
    integration = service.make_integration()
    live = [make_messages(1, device=f"d{number}", topic=f"site/{number}")[0] for number in range(300)]
    service.ingest(integration, live)
    copies = [message | {"event_id": f"retained-{message['device']}", "retained": True} for message in live]

    counts = ingest_retained(service, integration, *copies)

    assert (counts["stored"], counts["duplicates"]) == (0, 300)


def test_a_copy_that_is_older_than_the_ledger_is_a_duplicate_too(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, topic=TOPIC))
    make_older(service, integration, "7 days")
    service.connection.execute("reset role")
    service.connection.execute("delete from private.message_ledger")

    counts = ingest_retained(service, integration, say())

    assert (counts["received"], counts["stored"], counts["duplicates"]) == (1, 0, 1)


def test_a_retained_reading_makes_its_device_neither_online_nor_seen(service: Service) -> None:
    integration = service.make_integration()

    counts = ingest_retained(service, integration, say())

    assert counts["stored"] == 1
    assert find_device(service, integration) == {"status": "unknown", "last_seen_at": None}


@pytest.mark.parametrize("status", ["online", "offline"])
def test_a_new_retained_reading_leaves_a_device_as_it_is(service: Service, status: str) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, topic=TOPIC, device_status=status, observed_at=AT))

    ingest_retained(service, integration, say(payload={"temperature": 9}))

    device = find_device(service, integration)
    assert (device["status"], device["last_seen_at"].isoformat()) == (status, AT)


def test_a_retained_status_is_taken_over_though_it_was_said_before(service: Service) -> None:
    integration = service.make_integration()
    hear(service, integration)
    for status in ("online", "offline"):
        ingest_retained(service, integration, say(status, f"retained-{status}"))
        make_older(service, integration, "1 second")

    counts = ingest_retained(service, integration, say("online", "retained-online"))
    again = ingest_retained(service, integration, say("online", "retained-online"))

    assert (counts["stored"], again["stored"]) == (1, 0)
    device = find_device(service, integration)
    assert (device["status"], device["last_seen_at"].isoformat()) == ("online", AT)


@pytest.mark.parametrize(("said", "status"), [("online", "unknown"), ("offline", "offline")])
def test_only_a_retained_end_is_believed_of_a_device_never_heard_of(
    service: Service, said: str, status: str
) -> None:
    integration = service.make_integration()

    for number in range(2):
        ingest_retained(service, integration, say(said, f"retained-{number}"))

        assert find_device(service, integration) == {"status": status, "last_seen_at": None}


def test_a_device_that_a_retained_word_told_of_is_online_once_it_is_heard(service: Service) -> None:
    integration = service.make_integration()
    ingest_retained(service, integration, say("online"))

    hear(service, integration)
    ingest_retained(service, integration, say("online"))

    device = find_device(service, integration)
    assert (device["status"], device["last_seen_at"].isoformat()) == ("online", AT)


def test_a_retained_status_that_is_stored_already_is_taken_over(service: Service) -> None:
    integration = service.make_integration()
    hear(service, integration)
    ingest_retained(service, integration, say("online"))
    service.run("update devices set status = 'offline' where integration_id = %s returning 1", integration)

    counts = ingest_retained(service, integration, say("online"))

    assert (counts["duplicates"], find_device(service, integration)["status"]) == (1, "online")


def test_what_is_live_in_the_same_batch_says_more(service: Service) -> None:
    integration = service.make_integration()

    counts = ingest_retained(service, integration, *make_messages(1, topic="site/a/t"), say("offline"))

    device = find_device(service, integration)
    assert (counts["stored"], device["status"]) == (2, "online")
    assert device["last_seen_at"] is not None


def test_a_session_that_connects_ends_what_is_shown_of_a_failure(service: Service) -> None:
    integration = service.make_integration()
    lease = service.lease(integration)
    service.run("select finish_session(%s, %s, 'It is away.')", integration, lease["lease_token"])
    service.run("update integration_schedules set due_at = now() returning 1")
    token = service.lease(integration)["lease_token"]

    service.run("select confirm_session(%s, gen_random_uuid())", integration)
    before = service.one("select status from device_integrations where id = %s", integration)
    service.run("select confirm_session(%s, %s)", integration, token)

    assert before == "error"
    (row,) = service.run("select status, error_message from device_integrations where id = %s", integration)
    assert row == {"status": "active", "error_message": None}
    assert (
        service.one(
            "select count(*) from alerts where resolved_at is null and integration_id = %s", integration
        )
        == 0
    )
    assert (
        service.one("select lease_token from integration_schedules where integration_id = %s", integration)
        == token
    )
