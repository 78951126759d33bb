"""Runs of a device sync: dry, limited, cut off by outages and kills, and ten thousand devices long."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.fleet import Fleet, ago, open_fleet
from tests.fakes.golioth import Fault
from tests.fakes.golioth.devices import add_device, list_writes
from tests.platform import run_tick
from tests.stack import Stack


def test_a_dry_run_writes_nothing_and_says_what_it_would_do(fleet: Fleet) -> None:
    known = add_device(fleet.fake, "a")
    fleet.sync(direction="both")
    known["name"] = "a there"
    add_device(fleet.fake, "b")
    fleet.add("c", "Pump c")
    gone = add_device(fleet.fake, "gone")
    fleet.sync(direction="import", update_existing=False)
    del fleet.fake.store["devices"][gone["id"]]
    before, writes = fleet.snapshot(), list_writes(fleet.fake)

    report = fleet.sync(direction="both", dry_run=True)

    assert fleet.snapshot() == before
    assert list_writes(fleet.fake) == writes
    assert report["counts"] == {"seen": 2, "updated": 1, "unchanged": 1, "created_there": 1, "missing": 1}
    assert sorted(change["action"] for change in report["changes"]) == ["created_there", "missing", "updated"]
    assert fleet.sync(direction="both")["counts"] == report["counts"]


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ({"create_missing": False}, {"seen": 4, "updated": 1, "skipped": 3}),
        ({"limit": 2}, {"seen": 4, "updated": 1, "created": 2, "over_limit": 1}),
        ({"update_existing": False}, {"seen": 4, "unchanged": 1, "created": 3}),
    ],
)
def test_what_a_run_may_do_can_be_limited(
    fleet: Fleet, rules: dict[str, Any], counts: dict[str, int]
) -> None:
    known = add_device(fleet.fake, "a")
    fleet.sync()
    known["name"] = "a there"
    for number in range(3):
        add_device(fleet.fake, f"b-{number}")

    assert fleet.sync(**rules)["counts"] == counts


def test_the_scheduler_itself_begins_and_runs_a_sync_when_it_is_due_and_not_before(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_fleet(stack, monkeypatch, sync_direction="import", sync_interval_seconds=60) as fleet:
        add_device(fleet.fake, "first")
        first = run_tick(stack, idle_seconds=0.5)["jobs"], list(fleet.devices())
        add_device(fleet.fake, "second")
        early = run_tick(stack, idle_seconds=0.5)["jobs"], list(fleet.devices())
        age_jobs(stack, seconds=61)
        due = run_tick(stack, idle_seconds=0.5)["jobs"], sorted(fleet.devices())

    ran = {"planned": 1, "done": 1}
    assert (first, early, due) == ((ran, ["first"]), ({}, ["first"]), (ran, ["first", "second"]))


def age_jobs(stack: Stack, seconds: float) -> None:
    """As if all jobs had begun that much earlier."""
    with stack.connect() as connection:
        connection.execute(
            "update integration_jobs set created_at = created_at - make_interval(secs => %s)", [seconds]
        )


def test_an_outage_leaves_its_reason_once_and_loses_nothing(fleet: Fleet) -> None:
    add_device(fleet.fake, "a")
    fleet.fake.faults.append(Fault("GET", times=1, close="before"))
    fleet.fake.faults.append(Fault("GET", times=1, close="before"))
    job = fleet.begin()

    fleet.work()
    told = fleet.read(job["id"])
    fleet.work()
    fleet.work()

    assert (told["status"], told["attempts"]) == ("pending", 1)
    assert "closed the connection" in told["error"]
    assert fleet.read(job["id"])["status"] == "done"
    kinds = [row["kind"] for row in fleet.admin.rows("integration_activity", select="kind", order="id")]
    assert kinds == ["job.delayed", "job.recovered"]
    assert list(fleet.devices()) == ["a"]


def test_a_wrong_key_is_told_in_golioths_words(fleet: Fleet) -> None:
    fleet.admin.call("PATCH", fleet.path, json={"config": {"api_key": "canary-wrong"}})
    job = fleet.begin()

    fleet.work()

    told = fleet.read(job["id"])
    assert "permission denied" in told["error"]
    assert "canary" not in told["error"]


def test_a_wrong_field_of_a_job_is_named(fleet: Fleet) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "direction": {"kind": "sync", "direction": "sideways"},
        "limit": {"kind": "sync", "limit": True},
        "surprise": {"kind": "sync", "surprise": 1},
        "kind": {"kind": "x"},
    }

    replies = {
        field: fleet.admin.call("POST", f"{fleet.path}/jobs", json=body) for field, body in wrong.items()
    }

    assert {reply.status_code for reply in replies.values()} == {400}
    assert all(
        [error["field"] for error in reply.json()["errors"]] == [field] for field, reply in replies.items()
    )


def test_a_job_that_is_not_finished_keeps_a_second_from_beginning(fleet: Fleet) -> None:
    first = fleet.begin()

    reply = fleet.admin.call("POST", f"{fleet.path}/jobs", json={"kind": "sync"})

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert fleet.read(first["id"])["status"] == "pending"


def test_a_type_without_devices_has_no_sync(fleet: Fleet) -> None:
    webhook = fleet.admin.create("webhook", {"url": "http://127.0.0.1:9/hook"})

    reply = fleet.admin.call("POST", f"/integrations/{webhook['id']}/jobs", json={"kind": "sync"})

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")


def test_ten_thousand_devices_outlive_a_killed_worker_in_little_memory(
    fleet: Fleet, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    for number in range(10_000):
        add_device(
            fleet.fake, f"dev-{number}", hardwareIds=[f"hw-{number}"], metadata={"lastReport": ago(minutes=5)}
        )
    job_id = fleet.begin()["id"]

    first = start_worker()
    fleet.wait_for(job_id, 4000)
    first.kill()
    first.wait()
    with fleet.admin.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now()")
    second = start_worker()
    at_first = read_peak(second, fleet, job_id, 5500)
    fleet.wait_for(job_id, 10_000)
    at_last = read_peak(second, fleet, job_id, 10_000)

    assert fleet.count_devices() == (10_000, 10_000)
    listings = [call for call in fleet.fake.calls if call == f"GET /projects/{fleet.fake.project_id}/devices"]
    assert 100 <= len(listings) <= 102
    assert at_last - at_first < 8192


def read_peak(process: subprocess.Popen[bytes], fleet: Fleet, job_id: str, seen: int) -> int:
    """The most memory the process has used, in KB, once so many devices were seen."""
    fleet.wait_for(job_id, seen)
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
