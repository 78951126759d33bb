"""What the tests of clouds have in common: an admin's integration with one, its commands, its alerts, a large sync."""

from __future__ import annotations

import json
import resource
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from shared.runtime.database.client import as_service
from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import FakeGolioth
from tests.platform import Platform, run_tick

MOST_KILOBYTES = 16_384
"""By how much the memory of a worker may grow while it syncs most of a large fleet."""


def connect_fleet(admin: Platform, fake: object, integration_type: str, config: Mapping[str, Any]) -> Fleet:
    """An integration of which nothing else is due; its fleet is asked for nothing by `fake`."""
    with admin.stack.connect() as connection:
        connection.execute("delete from integration_jobs")
        connection.execute("delete from device_provisionings")
    return Fleet(admin, cast("FakeGolioth", fake), admin.create(integration_type, dict(config)))


def add_known(admin: Platform, integration_id: str, external_id: str) -> str:
    """A device that both sides know; its id here."""
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, %s, %s) returning id::text",
            (admin.user.organization_id, integration_id, external_id, f"device {uuid.uuid4()}"),
        ).fetchone()
    assert row
    return str(row[0])


def tell(fleet: Fleet, external_id: str, name: str, payload: Any) -> str:
    """A command to a device that is added for it; its id."""
    device_id = add_known(fleet.admin, fleet.integration["id"], external_id)
    body = {"device_id": device_id, "name": name, "payload": payload}
    reply = fleet.admin.call("POST", "/commands", json=body)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["command"]["id"])


def read_command(fleet: Fleet, command_id: str) -> dict[str, Any]:
    """A command as it is now."""
    return dict(fleet.admin.call("GET", f"/commands/{command_id}").json()["command"])


def retry_commands(admin: Platform) -> None:
    """Every command that waits is tried, also of an integration whose credentials were refused."""
    with admin.stack.connect() as connection:
        connection.execute("update device_commands set due_at = now() where status = 'pending'")
        # While its credentials are refused, an integration's commands are held.
        connection.execute("delete from private.rate_limits where budget = 'commands_held'")
    run_tick(admin.stack, idle_seconds=0.5)


def complete_provisionings(fleet: Fleet) -> None:
    """What the scheduler does with the devices whose making was left to it."""
    with fleet.admin.stack.connect() as connection:
        connection.execute("update device_provisionings set due_at = now() where status = 'pending'")
    as_service().call("plan_provisionings")
    fleet.work()


def begin_sync(fleet: Fleet) -> Callable[[], object]:
    """A sync; what tries it."""
    fleet.begin()
    return fleet.work


def begin_command(fleet: Fleet, external_id: str, name: str, payload: Any) -> Callable[[], object]:
    """A command; what tries it."""
    tell(fleet, external_id, name, payload)
    return partial(retry_commands, fleet.admin)


def open_alerts(admin: Platform, kind: str = "authentication.failed") -> list[str]:
    """The messages of the alerts of a kind that are open."""
    query = {"kind": f"eq.{kind}", "resolved_at": "is.null", "select": "message"}
    return [str(row["message"]) for row in admin.rows("alerts", **query)]


def check_revoked(admin: Platform, work: Callable[[], object], restore: Callable[[], object]) -> str:
    """Work that is refused becomes one alert, which ends with the next success, once that may be; what it says."""
    for _ in range(3):
        work()
    raised = open_alerts(admin)
    restore()
    work()

    assert len(raised) == 1
    assert "3 times in a row" in raised[0]
    assert open_alerts(admin) == []
    return raised[0]


def check_large_sync(fleet: Fleet) -> None:
    """10,000 devices of the other side come here in bounded memory, and a second sync writes not one row."""
    job_id = fleet.begin()["id"]
    work_until(fleet, job_id, 2_000)
    early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work_until(fleet, job_id, 10_000)
    late = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = fleet.snapshot()
    second = fleet.begin()["id"]
    work_until(fleet, second, 10_000)

    assert fleet.count_devices() == (10_000, 10_000)
    assert late - early < MOST_KILOBYTES
    assert fleet.read(second)["report"]["counts"] == {"seen": 10_000, "unchanged": 10_000}
    assert same(before) == same(fleet.snapshot())


def work_until(fleet: Fleet, job_id: str, seen: int) -> None:
    """Step by step, each with a deadline of its own, until so many were seen or it is done."""
    for _ in range(400):
        job = fleet.read(job_id)
        if job["status"] == "done" or (job["progress"].get("seen", 0) >= seen and seen < 10_000):
            return
        fleet.work(2)
    raise AssertionError(fleet.read(job_id))


def same(snapshot: dict[str, list[dict[str, Any]]]) -> str:
    """A snapshot as text, without the log of what was done."""
    return json.dumps(
        {name: rows for name, rows in snapshot.items() if name != "integration_activity"}, default=str
    )
