"""Leases of jobs: one holder at a time, steps that are kept, tries that are counted, and what members read of it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from shared.jobs.kinds import list_kinds
from tests.database.fixtures import Row, Service
from tests.stack import Stack


def begin_job(service: Service, integration_id: str, kind: str = "probe", **columns: Any) -> str:
    names = ["organization_id", "integration_id", "kind", *columns]
    values = [service.organization_id, integration_id, kind, *columns.values()]
    places = ", ".join(["%s"] * len(values))
    statement = f"insert into integration_jobs ({', '.join(names)}) values ({places}) returning id"
    return str(service.one(statement, *values))


def lease(service: Service, limit: int = 100) -> list[Row]:
    return service.run("select * from lease_jobs(%s, 30)", limit)


def save(service: Service, held: Row, state: Row, progress: Row) -> None:
    service.run(
        "select save_job(%s, %s, %s, %s, 30)", held["id"], held["lease_token"], Jsonb(state), Jsonb(progress)
    )


def finish(service: Service, held: Row, outcome: str, error: str | None = None, seconds: float = 0) -> str:
    return str(
        service.one(
            "select finish_job(%s, %s, %s, null, %s, %s)",
            held["id"],
            held["lease_token"],
            outcome,
            error,
            seconds,
        )
    )


def make_due(service: Service) -> None:
    service.connection.execute("update integration_jobs set due_at = now() - interval '1 s'")


def read_job(service: Service, job_id: Any) -> Row:
    (row,) = service.run("select * from integration_jobs where id = %s", job_id)
    return row


def list_activity(service: Service) -> list[str]:
    rows = service.run("select kind from integration_activity where kind like 'job.%%' order by id")
    return [row["kind"] for row in rows]


def test_users_may_begin_the_kinds_of_jobs_that_there_are(stack: Stack) -> None:
    with stack.connect() as connection:
        rows = connection.execute("select kind from private.job_kinds").fetchall()

    assert {kind for (kind,) in rows} == {*list_kinds()}


def test_a_new_job_is_leased_to_one_only_with_its_integrations_config(service: Service) -> None:
    integration = service.make_integration(broker_url="mqtt://broker.example.com")
    job_id = begin_job(service, integration, request=Jsonb({"limit": 5}))

    (held,) = lease(service)

    assert (str(held["id"]), held["request"], held["state"], held["attempts"]) == (
        job_id,
        {"limit": 5},
        {},
        0,
    )
    assert held["integration"]["id"] == integration
    assert held["integration"]["settings"] == {"broker_url": "mqtt://broker.example.com"}
    assert lease(service) == []


def test_a_second_job_of_the_kind_has_to_wait_until_the_first_is_finished(service: Service) -> None:
    integration = service.make_integration()
    begin_job(service, integration)

    with pytest.raises(psycopg.errors.UniqueViolation), service.connection.transaction():
        begin_job(service, integration)
    begin_job(service, integration, "other")
    (held,) = (row for row in lease(service) if row["kind"] == "probe")
    finish(service, held, "done")

    assert begin_job(service, integration)


def test_a_saved_step_is_where_the_next_holder_goes_on_and_the_late_one_is_refused(service: Service) -> None:
    begin_job(service, service.make_integration())
    (late,) = lease(service)
    save(service, late, {"page": 3}, {"seen": 300})
    make_due(service)

    (next_held,) = lease(service)

    assert (next_held["state"], next_held["progress"], next_held["attempts"]) == (
        {"page": 3},
        {"seen": 300},
        1,
    )
    for late_call in (
        lambda: save(service, late, {"page": 4}, {"seen": 400}),
        lambda: finish(service, late, "done"),
    ):
        with pytest.raises(psycopg.Error) as refusal, service.connection.transaction():
            late_call()
        assert refusal.value.sqlstate == "PT409"


def test_tries_are_counted_until_there_is_progress_or_there_were_twenty(service: Service) -> None:
    job_id = begin_job(service, service.make_integration())
    statuses = []
    for number in range(21):
        make_due(service)
        (held,) = lease(service)
        if number == 0:
            finish(service, held, "retry", "Away.")
            make_due(service)
            (held,) = lease(service)
            save(service, held, {"page": 1}, {"seen": 100})
        statuses.append(finish(service, held, "retry", "Away."))
        if statuses[-1] == "failed":
            break

    row = read_job(service, job_id)

    assert statuses == ["pending"] * 19 + ["failed"]
    assert (row["status"], row["attempts"], row["error"]) == ("failed", 20, "Away.")
    assert row["finished_at"] is not None


def test_a_row_of_failed_tries_is_told_once_and_its_end_too(service: Service) -> None:
    begin_job(service, service.make_integration())
    for _ in range(3):
        make_due(service)
        finish(service, lease(service)[0], "retry", "Away.")
    make_due(service)
    finish(service, lease(service)[0], "done")

    assert list_activity(service) == ["job.delayed", "job.recovered"]


def test_a_follower_is_due_again_when_it_asked_for_it(service: Service) -> None:
    job_id = begin_job(service, service.make_integration())

    status = finish(service, lease(service)[0], "again", seconds=60)

    wait = service.one(
        "select extract(epoch from due_at - now())::float from integration_jobs where id = %s", job_id
    )
    assert (status, lease(service)) == ("pending", [])
    assert 59 < wait <= 60


def test_a_renewed_lease_is_kept_and_a_lost_one_is_not(service: Service) -> None:
    begin_job(service, service.make_integration())
    (held,) = lease(service)
    make_due(service)
    leases = [
        {"id": str(held["id"]), "lease_token": token}
        for token in (str(held["lease_token"]), "00000000-0000-0000-0000-000000000000")
    ]

    renewed = service.one("select renew_jobs(%s, 30)", Jsonb(leases))

    assert (renewed, lease(service)) == (1, [])


def test_an_inactive_integrations_jobs_wait_and_a_changed_ones_go_on_at_once(service: Service) -> None:
    integration = service.make_integration()
    begin_job(service, integration)
    finish(service, lease(service)[0], "retry", "Wrong key.", 600)

    service.connection.execute("update device_integrations set status = 'inactive'")
    while_inactive = lease(service)
    service.connection.execute("update device_integrations set status = 'active', settings = '{\"port\": 1}'")
    (held,) = lease(service)

    assert while_inactive == []
    assert held["integration"]["settings"] == {"port": 1}


def test_jobs_go_with_their_integration(service: Service) -> None:
    integration = service.make_integration()
    begin_job(service, integration)
    (held,) = lease(service)

    service.connection.execute("delete from device_integrations where id = %s", (integration,))

    with pytest.raises(psycopg.Error) as refusal:
        finish(service, held, "done")
    assert refusal.value.sqlstate == "PT409"


def test_old_jobs_are_forgotten_and_planned_ones_sooner(service: Service) -> None:
    integration = service.make_integration()
    user = service.one("select user_id from organization_members limit 1")
    ages = [("2 days", None), ("2 days", user), ("31 days", user), ("1 hour", None)]
    for age, created_by in ages:
        job_id = begin_job(service, integration, status="done", created_by=created_by)
        service.connection.execute(
            "update integration_jobs set finished_at = now() - %(age)s::interval,"
            " created_at = now() - %(age)s::interval where id = %(id)s",
            {"age": age, "id": job_id},
        )
    begin_job(service, integration)

    pruned = service.one("select prune_jobs()")

    assert pruned == {"jobs": 2}
    assert service.one("select count(*) from integration_jobs") == 3
