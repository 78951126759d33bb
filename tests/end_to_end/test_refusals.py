"""Refusals are final or passing by one table, whoever is refused: a sync, a provisioning, a command."""

from __future__ import annotations

import pytest

from shared.commands.sending import run_commands
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import Fault
from tests.fakes.golioth.devices import add_device

FINAL = {408: False, 409: True, 410: True, 425: False, 429: False, 500: False, 501: True, 503: False}


def refuse(fleet: Fleet, pattern: str, status: int) -> None:
    """Answer with `status`, and ask for so long a pause that nobody waits for it."""
    fleet.fake.faults.append(Fault(pattern, times=9, status=status, headers={"Retry-After": "60"}))


@pytest.mark.parametrize(("status", "is_final"), FINAL.items())
def test_a_device_that_a_sync_may_not_create(fleet: Fleet, status: int, *, is_final: bool) -> None:
    fleet.add("my-pump", "Pump 1")
    refuse(fleet, "POST .*/devices$", status)
    job_id = fleet.begin(direction="export")["id"]

    fleet.work()

    job = fleet.read(job_id)
    assert job["status"] == ("done" if is_final else "pending")
    assert f"Golioth answered {status}" in str(job["report"] if is_final else job["error"])


@pytest.mark.parametrize(("status", "is_final"), FINAL.items())
def test_a_device_that_may_not_be_made(fleet: Fleet, status: int, *, is_final: bool) -> None:
    refuse(fleet, "POST .*/devices$", status)

    reply = fleet.admin.call("POST", f"{fleet.path}/devices", json={"name": "Pump 1"})

    (row,) = fleet.admin.rows("device_provisionings", select="status")
    assert (reply.status_code, row["status"]) == ((502, "failed") if is_final else (202, "pending"))


@pytest.mark.parametrize(("status", "is_final"), FINAL.items())
def test_a_command_that_is_not_taken(fleet: Fleet, status: int, *, is_final: bool) -> None:
    add_device(fleet.fake, "Pump 1")
    fleet.sync()
    body = {"device_id": fleet.devices()["Pump 1"]["id"], "name": "restart", "payload": []}
    command = fleet.admin.call("POST", "/commands", json=body).json()["command"]
    refuse(fleet, "POST .*/rpc$", status)

    run_commands(as_service(), Deadline(0.5), Pulse())

    told = fleet.admin.call("GET", f"/commands/{command['id']}").json()["command"]
    assert told["status"] == ("failed" if is_final else "pending")
    assert f"Golioth answered {status}" in told["error"]
