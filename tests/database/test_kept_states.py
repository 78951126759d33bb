"""What sessions, jobs and rollouts keep to go on from is bounded where it is written, and again where it is read."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages

LARGE = {"cursor": "x" * 1_100_000}
SMALL = {"cursor": "x" * 1_000_000}


def begin_job(service: Service) -> Row:
    integration = service.make_integration()
    service.run(
        "insert into integration_jobs (organization_id, integration_id, kind) values (%s, %s, 'sync') returning id",
        service.organization_id,
        integration,
    )
    return lease_job(service, integration)


def lease_job(service: Service, integration: Any) -> Row:
    leased = service.run("select * from lease_jobs(100, 60)")
    return next(row for row in leased if row["integration"]["id"] == str(integration))


def refuse(service: Service, statement: str, *values: Any) -> str:
    with pytest.raises(psycopg.Error) as refusal, service.connection.transaction():
        service.run(statement, *values)
    assert refusal.value.sqlstate == "PT413"
    return str(refusal.value)


def test_a_session_that_would_keep_too_much_keeps_nothing_of_that_batch(service: Service) -> None:
    integration = service.make_integration()
    token = service.lease(integration)["lease_token"]
    service.ingest(integration, make_messages(1), token=token, seconds=30, state=SMALL)

    words = refuse(
        service,
        "select ingest_messages(%s, %s, %s, 30, %s)",
        integration,
        Jsonb(make_messages(1)),
        token,
        Jsonb(LARGE),
    )

    kept = "select count(*)::int from device_messages where integration_id = %s"
    state = "select state from integration_schedules where integration_id = %s"
    assert "1048576 bytes" in words
    assert (service.one(kept, integration), service.one(state, integration)) == (1, SMALL)


@pytest.mark.parametrize("states", [(LARGE, {}), ({}, LARGE)])
def test_a_job_that_would_keep_too_much_stays_where_it_was(service: Service, states: tuple[Any, Any]) -> None:
    job = begin_job(service)

    refuse(
        service,
        "select save_job(%s, %s, %s, %s, 60)",
        job["id"],
        job["lease_token"],
        *(Jsonb(each) for each in states),
    )

    assert service.one("select state from integration_jobs where id = %s", job["id"]) == {}


def test_a_rollout_is_bounded_too(service: Service) -> None:
    refuse(service, "select record_firmware(%s, '[]', %s)", str(uuid.uuid4()), Jsonb(LARGE))


def test_what_came_there_all_the_same_is_not_handed_out(service: Service) -> None:
    integration, job = service.make_integration(), begin_job(service)
    service.run(
        "update integration_schedules set state = %s where integration_id = %s returning 1",
        Jsonb(LARGE),
        integration,
    )
    service.run(
        "update integration_jobs set progress = %s, due_at = now() where id = %s returning 1",
        Jsonb(LARGE),
        job["id"],
    )

    session, again = service.lease(integration), lease_job(service, job["integration"]["id"])

    assert (session["state"], again["state"], again["progress"]) == (None, {}, None)
