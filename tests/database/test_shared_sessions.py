"""Several sessions of one integration: each leased by itself, what is read shared out among them and kept once."""

from __future__ import annotations

import random
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from shared.provider import Part
from tests.database.fixtures import Row, Service, make_messages
from tests.seeds import SEEDS

PARTS: dict[str, dict[str, Any]] = {
    "plant.a": {str(number): 100 + number for number in range(8)},
    "plant.b": {"0": [7, 1_700, 1]},
}
STATE = {"topics": ["plant.*"], "parts": PARTS, "lag": 5}


def save(service: Service, lease: Row, state: Row, messages: list[Row] | None = None) -> Row:
    return service.ingest(lease["id"], messages or [], token=lease["lease_token"], seconds=30, state=state)


def finish(service: Service, lease: Row, error: str | None = None, summary: Row | None = None) -> None:
    statement = "select finish_session(%s, %s, p_error => %s, p_summary => %s)"
    service.run(statement, lease["id"], lease["lease_token"], error, Jsonb(summary) if summary else None)


def lease_as(service: Service, worker: str | None = None, limit: int = 10) -> list[Row]:
    return service.run("select * from lease_sessions(%s, 30, p_worker => %s)", limit, worker)


def lease_all(service: Service, worker: str | None = None) -> list[Row]:
    leases: list[Row] = []
    while taken := lease_as(service, worker):
        leases += taken
    return sorted(leases, key=lambda lease: lease["slot"])


def begin(service: Service, sessions: int, state: Row = STATE) -> str:
    """An integration whose first session has placed what `state` says."""
    integration = service.make_integration("kafka", parallel_sessions=sessions)
    lease = service.lease(integration)
    save(service, lease, state)
    finish(service, lease)
    return integration


def resize(service: Service, integration: str, sessions: int) -> None:
    service.connection.execute(
        "update device_integrations set settings = settings || %s where id = %s",
        (Jsonb({"parallel_sessions": sessions}), integration),
    )


def read_parts(service: Service) -> list[tuple[int, int, Any]]:
    rows = service.run(
        "select slot, slots, state -> 'parts' as parts from integration_schedules order by slot"
    )
    return [(row["slot"], row["slots"], row["parts"]) for row in rows]


def select_parts(part: Part, parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    chosen = {
        name: {number: place for number, place in numbers.items() if part.has(name, int(number))}
        for name, numbers in parts.items()
    }
    return {name: numbers for name, numbers in chosen.items() if numbers}


def test_the_database_and_the_provider_say_the_same_of_what_falls_to_whom(service: Service) -> None:
    chance = random.Random(1)  # noqa: S311 - a seed makes a failure repeatable
    names = ["plant", "x" * 249, *(str(uuid.uuid4()) for _ in range(40))]
    for name in names:
        number, slots = chance.choice([0, 1, 7, 499, 999_999_999]), chance.randint(1, 16)
        slot = service.one("select private.find_slot(%s, %s, %s)", name, number, slots)
        assert [each for each in range(slots) if Part(each, slots).has(name, number)] == [slot]


def test_the_first_session_is_one_and_what_it_has_placed_is_shared_out(service: Service) -> None:
    integration = service.make_integration("kafka", parallel_sessions=3)
    first = service.lease(integration)
    others = lease_as(service)
    save(service, first, STATE)
    finish(service, first)

    leases = lease_all(service)

    assert ((first["slot"], first["slots"]), others) == ((0, 1), [])
    assert [(lease["slot"], lease["slots"]) for lease in leases] == [(0, 3), (1, 3), (2, 3)]
    assert len({lease["lease_token"] for lease in leases}) == 3
    for lease in leases:
        part = Part(lease["slot"], lease["slots"])
        assert lease["state"] == {"topics": ["plant.*"], "parts": select_parts(part, PARTS)}


def test_a_first_session_that_fails_or_saves_nothing_leaves_it_one(service: Service) -> None:
    integration = service.make_integration("kafka", parallel_sessions=3)
    finish(service, service.lease(integration))
    finish(service, service.lease(integration), "Away.")
    resize(service, integration, 5)

    assert read_parts(service) == [(0, 1, None)]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_their_number_becomes_each_place_is_kept_once(service: Service, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    integration = begin(service, 2)
    places: dict[str, dict[str, Any]] = {name: {**numbers} for name, numbers in PARTS.items()}
    for _ in range(6):
        sessions = chance.randint(1, 16)
        resize(service, integration, sessions)
        for lease in lease_all(service):
            if chance.random() < 0.5:
                state = lease["state"]
                for name, numbers in state["parts"].items():
                    for number in numbers:
                        numbers[number] = places[name][number] = chance.randint(1_000, 9_999)
                save(service, lease, state)

        parts = read_parts(service)

        assert [(slot, slots) for slot, slots, _ in parts] == [(slot, sessions) for slot in range(sessions)]
        assert all(kept == select_parts(Part(slot, slots), places) for slot, slots, kept in parts)


def test_what_one_has_kept_of_another_cluster_than_the_first_counts_for_nothing(service: Service) -> None:
    integration = begin(service, 2, STATE | {"cluster": "old"})
    first, _ = lease_all(service)
    save(service, first, first["state"] | {"cluster": "new"})

    resize(service, integration, 3)

    kept = [parts for _, _, parts in read_parts(service)]
    assert sum(len(numbers) for parts in kept for numbers in parts.values()) == sum(
        len(numbers) for numbers in first["state"]["parts"].values()
    )


def test_one_session_that_is_said_to_be_one_waits_for_its_interval(service: Service) -> None:
    integration = service.make_integration("kafka", parallel_sessions=1)
    lease = service.lease(integration)
    save(service, lease, STATE)

    service.run("select finish_session(%s, %s, p_due_seconds => 600)", lease["id"], lease["lease_token"])

    assert lease_as(service) == []


def test_whoever_held_one_of_them_stores_nothing_once_their_number_has_changed(service: Service) -> None:
    integration = begin(service, 3)
    leases = lease_all(service)
    resize(service, integration, 2)

    for lease in leases:
        with pytest.raises(psycopg.Error) as refusal, service.connection.transaction():
            save(service, lease, STATE, make_messages(1))
        assert refusal.value.sqlstate == "PT409"


def test_another_change_takes_all_of_their_leases_and_leaves_what_they_have_kept(service: Service) -> None:
    integration = begin(service, 3)
    leases, kept = lease_all(service), read_parts(service)

    service.connection.execute("update device_integrations set status = 'inactive'")
    while_off = lease_all(service)
    service.connection.execute("update device_integrations set status = 'active'")

    assert (while_off, read_parts(service)) == ([], kept)
    assert len(lease_all(service)) == len(leases)
    for lease in leases:
        with pytest.raises(psycopg.Error), service.connection.transaction():
            save(service, lease, STATE)
    assert service.one("select id from device_integrations") == uuid.UUID(integration)


def test_who_holds_one_leaves_the_next_to_others_for_a_while_and_takes_it_then(service: Service) -> None:
    begin(service, 4)
    one, other = str(uuid.uuid4()), str(uuid.uuid4())

    taken = [len(lease_as(service, worker)) for worker in (one, one, other, other, one)]
    service.connection.execute(
        "update integration_schedules set due_at = due_at - interval '0.5 s' where lease_token is null"
    )
    later = [len(lease_as(service, worker)) for worker in (one, one, other)]

    assert taken == [1, 0, 1, 0, 0]
    assert later == [1, 0, 1]


def test_a_flood_of_them_is_in_nobody_elses_way(service: Service) -> None:
    begin(service, 16)
    organization_id = str(uuid.uuid4())
    service.as_owner("insert into organizations (id, name) values (%s, 'Small')", organization_id)
    small = Service(service.connection, organization_id)
    for _ in range(4):
        lease_as(service, limit=1)
    integration = small.make_integration()

    (lease,) = lease_as(service, limit=1)

    assert str(lease["id"]) == integration


def test_the_status_is_error_while_one_of_them_fails_and_the_end_of_that_is_told_once(
    service: Service,
) -> None:
    begin(service, 2)
    bad, good = lease_all(service)
    seen = []
    for lease, error in ((bad, "Away."), (good, None)):
        finish(service, lease, error)
        (row,) = service.run("select status, error_message, sync_status from device_integrations")
        seen.append(tuple(row.values()))
    failures = service.one("select failures from integration_facts where direction = 'in'")
    service.connection.execute("update integration_schedules set due_at = now() where attempts > 0")
    (again,) = [lease for lease in lease_all(service) if lease["slot"] == bad["slot"]]
    service.run("select confirm_session(%s, %s, 3)", again["id"], again["lease_token"])

    assert seen == [("error", "Away.", "failed")] * 2
    assert failures == 1
    assert service.one("select status from device_integrations") == "active"
    kinds = service.run("select kind from integration_activity order by id")
    assert [row["kind"] for row in kinds] == ["session.failed", "session.recovered"]


def test_one_that_is_connected_again_does_not_count_as_failing_when_another_ends(service: Service) -> None:
    begin(service, 2)
    bad, good = lease_all(service)
    finish(service, bad, "Away.")
    service.connection.execute("update integration_schedules set due_at = now() where lease_token is null")
    (again,) = lease_as(service)
    service.run("select confirm_session(%s, %s, 3)", again["id"], again["lease_token"])

    finish(service, good)

    (row,) = service.run("select status, error_message from device_integrations")
    assert tuple(row.values()) == ("active", None)


def test_last_session_is_the_sum_of_all_of_them(service: Service) -> None:
    begin(service, 2)
    for number, lease in enumerate(lease_all(service), start=1):
        summary = {
            "started_at": f"2026-11-0{number}T00:00:00Z",
            "seconds": number,
            "connect_ms": 2.5 * number,
        }
        counts = dict.fromkeys(("batches", "messages", "bytes", "duplicates", "rejected", "warnings"), number)
        finish(service, lease, summary=summary | counts | {"lag": 10, "response_ms": [1]})

    assert service.one("select last_session from device_integrations") == {
        "sessions": 2,
        "started_at": "2026-11-01T00:00:00Z",
        "seconds": 2,
        "connect_ms": 5.0,
        "lag": 20,
        **dict.fromkeys(("batches", "messages", "bytes", "duplicates", "rejected", "warnings"), 3),
    }


def test_how_much_is_still_to_be_read_is_the_sum_of_what_they_say(service: Service) -> None:
    integration = begin(service, 2)
    for lag, lease in zip((30, 12), lease_all(service), strict=True):
        save(service, lease, lease["state"] | {"lag": lag})

    shown = service.one("select lag from integration_health where integration_id = %s", integration)
    metrics = service.one("select read_platform_metrics() -> 'integrations'")

    assert shown == 42
    assert [row["consumer_lag"] for row in metrics] == [42]


def test_the_time_that_each_is_connected_for_is_a_part_of_the_uptime(service: Service) -> None:
    integration = begin(service, 2)
    for lease in lease_all(service):
        service.run("select confirm_session(%s, %s, 3)", lease["id"], lease["lease_token"])
    service.connection.execute("update integration_schedules set connected_to = now() - interval '30 s'")
    service.run("select private.count_uptime(integration_id, lease_token) from integration_schedules")

    service.connection.execute("reset role")
    counted = "select sum(connected_seconds) from private.metric_tallies where integration_id = %s"
    assert service.one(counted, integration) == pytest.approx(30)


def test_of_killed_ones_each_is_due_again_by_itself(service: Service) -> None:
    begin(service, 3)
    leases = lease_all(service)
    service.connection.execute("update integration_schedules set due_at = now() where slot = 1")

    (taken,) = lease_all(service)

    assert taken["slot"] == 1
    assert taken["lease_token"] not in {lease["lease_token"] for lease in leases}
    with pytest.raises(psycopg.Error):
        save(service, leases[1], STATE)
