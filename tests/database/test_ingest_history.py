"""`ingest_history`: what is read back is stored unless it came another way already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages

AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


def pushed(payload: Any, at: datetime = AT, **fields: Any) -> Row:
    """A reading as a receiver stores it."""
    (message,) = make_messages(1, observed_at=at.isoformat(), payload=payload, **fields)
    return message


def read_back(service: Service, integration: str, *messages: Row) -> tuple[int, int, int]:
    """What became of `messages`: received, stored, duplicates."""
    counts = service.one("select ingest_history(%s, %s)", integration, Jsonb(list(messages)))
    return counts["received"], counts["stored"], counts["duplicates"]


@pytest.mark.parametrize(
    ("stored", "topic", "payload"),
    [
        ({"temp": 21.5, "unit": "C"}, "sensor", {"unit": "C", "temp": 21.50}),
        ({"temp": 21.5}, "sensor", {"sensor": {"temp": 21.5}}),
        ({"temp": 21.5}, 'a/b"c', {"a": {'b"c': {"temp": 21.5}}}),
        ({"sensor": {"temp": 21.5}}, "sensor", {"temp": 21.5}),
        (21.5, "temp", {"temp": 21.5}),
        ([1, 2], None, [1, 2]),
    ],
)
def test_a_reading_that_was_pushed_is_a_duplicate_however_its_path_is_written(
    service: Service, stored: Any, topic: str | None, payload: Any
) -> None:
    integration = service.make_integration()
    service.ingest(integration, [pushed(stored, topic=topic)])

    assert read_back(service, integration, pushed(payload)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("device", "at", "payload"),
    [
        ("a", AT + timedelta(milliseconds=1), {"temp": 1}),
        ("a", AT - timedelta(milliseconds=1), {"temp": 1}),
        ("a", AT, {"temp": 1.01}),
        ("a", AT, {"temp": 1, "more": None}),
        ("a", AT, {"other": {"temp": 1}}),
        ("b", AT, {"temp": 1}),
    ],
)
def test_another_time_device_or_reading_is_another_message(
    service: Service, device: str, at: datetime, payload: Any
) -> None:
    integration = service.make_integration()
    service.ingest(integration, [pushed({"temp": 1}, topic="sensor"), pushed({"temp": 9}, device="b")])

    assert read_back(service, integration, pushed(payload, at, device=device)) == (1, 1, 0)


def test_times_that_were_rounded_another_way_are_the_same(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, [pushed({"temp": 1})])

    assert read_back(service, integration, pushed({"temp": 1}, AT + timedelta(microseconds=999))) == (1, 0, 1)


def test_what_was_read_back_before_is_a_duplicate_by_its_id_and_without_the_ledger(service: Service) -> None:
    integration, message = service.make_integration(), pushed({"temp": 1})
    counts = [read_back(service, integration, message), read_back(service, integration, message)]
    service.connection.execute("reset role")
    service.run("delete from private.message_ledger where integration_id = %s returning 1", integration)
    service.connection.execute("set local role service_role")

    counts.append(read_back(service, integration, message))

    assert counts == [(1, 1, 0), (1, 0, 1), (1, 0, 1)]


def test_another_integrations_readings_do_not_count(service: Service) -> None:
    integration, other = service.make_integration(), service.make_integration()
    service.ingest(other, [pushed({"temp": 1})])

    assert read_back(service, integration, pushed({"temp": 1})) == (1, 1, 0)


def test_readings_of_devices_that_are_not_provisioned_are_recognised_too(service: Service) -> None:
    integration = service.make_integration(auto_provision_devices=False)
    service.ingest(integration, [pushed({"temp": 1})])

    assert read_back(service, integration, pushed({"temp": 1}), pushed({"temp": 2})) == (2, 1, 1)
    assert read_back(service, integration, pushed({"temp": 1}, device="another")) == (1, 1, 0)


def test_everything_is_counted_once_for_its_minute(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, [pushed({"temp": 1})])
    twice, failed = pushed({"temp": 2}), pushed(None, error="Not JSON.", raw="x")

    counts = read_back(service, integration, pushed({"temp": 1}), twice, twice, failed)

    assert counts == (4, 1, 2)
    (minute,) = service.run(
        "select received, stored, duplicates, failed from integration_metrics where integration_id = %s",
        integration,
    )
    assert [*minute.values()] == [5, 2, 2, 1]


@pytest.mark.parametrize("status", ["online", "offline", "unknown"])
def test_the_past_says_nothing_of_a_devices_status(service: Service, status: str) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1))
    service.run("update devices set status = %s where integration_id = %s returning 1", status, integration)

    read_back(service, integration, pushed({"temp": 1}), pushed({"temp": 1}, device="new"))

    devices = service.run(
        "select external_id, status from devices where integration_id = %s order by 1", integration
    )
    assert [(device["external_id"], device["status"]) for device in devices] == [
        ("a", status),
        ("new", "unknown"),
    ]


def begin_backfill(service: Service, integration: str) -> None:
    service.connection.execute(
        "insert into integration_jobs (organization_id, integration_id, kind, status)"
        " values (%s, %s, 'backfill', 'done')",
        [service.organization_id, integration],
    )


def receive(service: Service, integration: str, *messages: Row) -> tuple[list[int], list[int]]:
    """What became of pushed `messages`: received, stored, duplicates; and which of them were duplicates, from 1."""
    post = {"integration_id": integration, "messages": list(messages), "requests": 1}
    told = service.one("select receive_messages(%s)", Jsonb([post]))[integration]
    assert "problem" not in told, told
    return [told[name] for name in ("received", "stored", "duplicates")], told["repeated"]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [("sensor", {"temp": 21.5}), ("sensor", {"sensor": {"temp": 21.5}}), (None, {"sensor": {"temp": 21.50}})],
)
def test_what_is_pushed_after_it_was_read_back_is_a_duplicate_and_nothing_beside_it(
    service: Service, topic: str | None, payload: Any
) -> None:
    integration = service.make_integration()
    begin_backfill(service, integration)
    read_back(service, integration, pushed({"sensor": {"temp": 21.5}}))
    others = [pushed({"temp": 22}), pushed(payload, AT + timedelta(seconds=1)), pushed(payload, device="b")]
    late = pushed(payload, topic=topic)

    first = receive(service, integration, others[0], late, *others[1:])

    assert first == ([4, 3, 1], [2])
    assert receive(service, integration, late) == ([1, 0, 1], [1])


def test_what_was_read_back_longer_ago_than_ids_are_remembered_is_known_too(service: Service) -> None:
    integration = service.make_integration(auto_provision_devices=False)
    begin_backfill(service, integration)
    read_back(service, integration, pushed({"temp": 1}))
    service.connection.execute("delete from private.message_ledger where integration_id = %s", [integration])

    assert receive(service, integration, pushed({"temp": 1})) == ([1, 0, 1], [1])


def test_without_a_backfill_the_ids_alone_say_what_is_the_same(service: Service) -> None:
    integration = service.make_integration()
    twice = [pushed({"temp": 1}) for _ in range(2)]

    assert [receive(service, integration, each)[0] for each in twice] == [[1, 1, 0]] * 2


def test_a_reading_is_found_by_the_index_of_its_own_time(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, [pushed({"n": n}, AT + timedelta(seconds=n)) for n in range(2_000)])
    service.connection.execute("reset role")
    service.connection.execute("analyze device_messages")
    service.connection.execute("set local role service_role")
    looks = (
        "select sum(pg_stat_get_xact_numscans(inhrelid))::int from pg_inherits"
        " where inhparent = 'device_messages_observed'::regclass"
    )
    before = service.one(looks)

    counts = read_back(
        service, integration, *(pushed({"n": n}, AT + timedelta(seconds=n)) for n in range(100))
    )

    assert counts == (100, 0, 100)
    assert service.one(looks) >= before + 100
