"""A rollout by a job, through the calls of any other: begun once, followed to its end over kills, cancelled."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from scripts.local.stack import ROOT
from shared.runtime.database.client import as_service
from tests.end_to_end.providers.aws_iot.site import Site, open_site
from tests.fakes.aws import FakeAws, Fault
from tests.platform import Platform
from tests.unit.providers.aws_iot.test_firmware import make_bucket, make_fleet
from tests.waiting import wait_until


@pytest.fixture
def fleet(admin: Platform, aws: FakeAws, functions_environment: None) -> Any:  # noqa: ARG001 - in place
    make_bucket(aws)
    with open_site(admin, aws, firmware_bucket="acme-firmware") as site:
        yield site


def upload(site: Site, version: str = "1.3") -> str:
    reply = site.call(
        "POST",
        "/artifacts",
        params={"version": version},
        content=b"image" * 100,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["artifact"]["id"])


def post(site: Site, **fields: Any) -> httpx.Response:
    body = {"name": "spring", "cohort_id": "plant", "artifact_ids": ["main:1.3"]} | fields
    return site.call("POST", "/rollouts", json=body)


def start(site: Site, **fields: Any) -> str:
    reply = post(site, **fields)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["rollout"]["id"])


def step(site: Site) -> None:
    as_service().call("plan_rollouts")
    site.work()


def read(site: Site, rollout_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The rollout, and the state of each device."""
    reply = site.call("GET", f"/rollouts/{rollout_id}").json()
    return reply["rollout"], {each["external_id"]: each["state"] for each in reply["devices"]}


def test_a_rollout_is_followed_to_its_end_with_one_failing_device(fleet: Site, aws: FakeAws) -> None:
    good, slow, bad = make_fleet(aws)
    fleet.sync(direction="import")
    upload(fleet)
    rollout_id = start(fleet)

    step(fleet)
    assert read(fleet, rollout_id)[1] == dict.fromkeys((good, slow, bad), "pending")
    job = aws.jobs["spring"]
    job.move(good, "SUCCEEDED")
    job.move(slow, "IN_PROGRESS")
    job.move(bad, "FAILED", reason="no space")
    step(fleet)
    rollout, states = read(fleet, rollout_id)
    assert (rollout["status"], states) == ("running", {good: "updated", slow: "downloading", bad: "failed"})
    job.move(slow, "SUCCEEDED")
    step(fleet)
    step(fleet)

    rollout, states = read(fleet, rollout_id)
    assert (rollout["status"], rollout["counts"]["updated"], rollout["counts"]["failed"]) == ("done", 2, 1)
    assert fleet.devices()[good]["firmware_version"] == "1.3"
    (failed,) = fleet.admin.rows("firmware_updates", external_id=f"eq.{bad}", select="message")
    assert "reason: no space" in failed["message"]


def test_a_job_that_is_offered_bit_by_bit_is_not_over_before_all_have_it(fleet: Site, aws: FakeAws) -> None:
    names, aws.holds_back = make_fleet(aws), True
    upload(fleet)
    rollout_id = start(fleet)
    for name in names:
        step(fleet)
        assert read(fleet, rollout_id)[0]["status"] == "running"
        aws.jobs["spring"].offer(1)
        aws.jobs["spring"].move(name, "SUCCEEDED")

    step(fleet)
    step(fleet)

    assert read(fleet, rollout_id)[0]["status"] == "done"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT /jobs/spring", close="after"),
        Fault("PUT /jobs/spring", close="before"),
        Fault("PUT /jobs/spring", status=500),
        Fault("PUT /jobs/spring", status=500, works=True),
        Fault("PUT /jobs/spring", status=400, name="ThrottlingException"),
        Fault("GET /jobs/spring/things", status=503, times=2),
        Fault("GET /jobs/spring/things", cut=10),
    ],
)
def test_whatever_is_lost_there_is_one_job_and_it_is_followed(
    fleet: Site, aws: FakeAws, fault: Fault
) -> None:
    names = make_fleet(aws)
    upload(fleet)
    aws.faults.append(fault)
    rollout_id = start(fleet)
    for _ in range(3):
        step(fleet)
    for name in names:
        aws.jobs["spring"].move(name, "SUCCEEDED")

    for _ in range(3):
        step(fleet)

    assert read(fleet, rollout_id)[0]["status"] == "done"
    assert len(aws.jobs) == 1


@pytest.mark.parametrize(
    "pattern", ["PUT /jobs/spring", "GET /thing-groups/plant/things", "GET /jobs/spring/things"]
)
def test_a_worker_that_is_killed_leaves_nothing_half(fleet: Site, aws: FakeAws, pattern: str) -> None:
    names = make_fleet(aws)
    upload(fleet)
    rollout_id = start(fleet)
    method, path = pattern.split()
    if method == "GET":
        step(fleet)
    kill_worker(fleet, aws, f"{method} {path}")

    step(fleet)
    for name in names:
        aws.jobs["spring"].move(name, "SUCCEEDED")
    step(fleet)
    step(fleet)

    rollout, states = read(fleet, rollout_id)
    assert (rollout["status"], states) == ("done", dict.fromkeys(names, "updated"))
    assert len(aws.jobs) == 1
    steps = fleet.admin.rows(
        "firmware_updates", select="steps", integration_id=f"eq.{fleet.integration['id']}"
    )
    assert [len(each["steps"]) for each in steps] == [1] * len(names)


def kill_worker(site: Site, aws: FakeAws, call: str) -> None:
    """A worker of its own process is killed while it waits for the answer to that call."""
    gate = threading.Event()
    aws.calls.clear()
    aws.faults.append(Fault(f"^{call}$", gate=gate))
    with site.admin.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now() where status = 'pending'")
        connection.execute("update firmware_rollouts set state = state - 'next_sweep'")
    worker = subprocess.Popen(
        [sys.executable, "-m", "shared.scheduler.worker"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        wait_until(lambda: call in aws.calls, f"the worker never asked {call}")
    finally:
        worker.kill()
        worker.wait()
        gate.set()
    with site.admin.stack.connect() as connection:
        # What time does by itself half a minute later.
        connection.execute("update integration_jobs set due_at = now() where status = 'running'")


def test_a_rollout_that_is_cancelled_is_so_at_aws(fleet: Site, aws: FakeAws) -> None:
    good, *_ = make_fleet(aws)
    upload(fleet)
    rollout_id = start(fleet)
    step(fleet)
    aws.jobs["spring"].move(good, "SUCCEEDED")

    reply = fleet.call("POST", f"/rollouts/{rollout_id}/cancel")

    assert (reply.status_code, reply.json()["rollout"]["status"]) == (200, "cancelled"), reply.text
    assert aws.jobs["spring"].status == "CANCELED"
    assert aws.jobs["spring"].executions[good]["status"] == "SUCCEEDED"


def test_of_two_rollouts_of_one_name_the_second_fails_and_leaves_the_job_alone(
    fleet: Site, aws: FakeAws
) -> None:
    first, *_ = make_fleet(aws)
    aws.ask("POST", "/thing-groups/other", {})
    aws.ask("PUT", "/thing-groups/addThingToThingGroup", {"thingName": first, "thingGroupName": "other"})
    upload(fleet)
    ids = [start(fleet), start(fleet, cohort_id="other")]

    step(fleet)

    by_status = {rollout["status"]: rollout for rollout, _ in (read(fleet, each) for each in ids)}
    assert by_status.keys() == {"running", "failed"}
    assert "goes elsewhere" in by_status["failed"]["error"]
    fleet.call("POST", f"/rollouts/{by_status['failed']['id']}/cancel")
    group = by_status["running"]["target"]["cohort_id"]
    assert aws.jobs["spring"].body["targets"][0].endswith(f":thinggroup/{group}")
    assert aws.jobs["spring"].status == "IN_PROGRESS"


def test_a_rollout_whose_job_turns_out_to_be_anothers_fails_with_that_reason(
    fleet: Site, aws: FakeAws
) -> None:
    make_fleet(aws)
    upload(fleet)
    rollout_id = start(fleet)
    step(fleet)
    arn = "arn:aws:iot:eu-west-1:123456789012:thinggroup/other"
    aws.jobs["spring"].body["targets"] = [arn]
    with fleet.admin.stack.connect() as connection:
        connection.execute("update firmware_rollouts set state = state - 'next_sweep'")

    step(fleet)
    rollout = read(fleet, rollout_id)[0]

    assert (rollout["status"], "goes elsewhere" in rollout["error"]) == ("failed", True)
    assert aws.jobs["spring"].status == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"name": "spring 2026"}, 400, "the id of a job"),
        ({"cohort_id": "nothing"}, 400, "cohort_id"),
        ({"artifact_ids": ["main:9.9"]}, 400, "artifact_ids"),
        ({"cohort_id": None, "tag_id": "beta"}, 400, "cohort_id"),
    ],
)
def test_what_can_be_no_job_is_refused_with_the_remedy(
    fleet: Site, aws: FakeAws, fields: dict[str, Any], status: int, words: str
) -> None:
    make_fleet(aws)
    upload(fleet)
    body = {"name": "spring", "cohort_id": "plant", "artifact_ids": ["main:1.3"]} | fields

    reply = fleet.call("POST", "/rollouts", json={name: value for name, value in body.items() if value})

    assert (reply.status_code, words in reply.text) == (status, True), reply.text
    assert aws.jobs == {}


def test_cohorts_packages_and_deployments_are_shown(fleet: Site, aws: FakeAws) -> None:
    make_fleet(aws)
    upload(fleet)

    made = fleet.call(
        "POST", "/deployments", json={"cohort_id": "plant", "name": "now", "artifact_ids": ["main:1.3"]}
    )

    assert made.status_code == 201, made.text
    assert [each["name"] for each in fleet.call("GET", "/cohorts").json()["cohorts"]] == ["plant"]
    assert [each["id"] for each in fleet.call("GET", "/packages").json()["packages"]] == ["main"]
    listed = fleet.call("GET", "/deployments", params={"cohort_id": "plant"}).json()["deployments"]
    assert [(each["id"], each["artifact_ids"]) for each in listed] == [("now", ["main:1.3"])]
