"""Rollouts from an admin's request to the last device, at a Golioth of our own, by the code that a tick runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import httpx
import pytest

from scripts.local.stack import ROOT
from shared.jobs.kinds import find_kind
from shared.jobs.run import run_job
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from tests.end_to_end.firmware_site import Site, open_site
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth.firmware import (
    AWAIT_RETRY,
    DOWNLOADED,
    DOWNLOADING,
    IDLE,
    UPDATING,
    add_device,
    fail_update,
    install_update,
    make_artifact,
    make_cohort,
    report_update,
)
from tests.inside import environment_of
from tests.platform import run_tick
from tests.stack import Stack
from tests.waiting import wait_until


@dataclass(frozen=True)
class Fleet:
    """Devices of a cohort that run 1.2, and an artifact 1.3 for them."""

    site: Site
    cohort_id: str
    artifact_id: str
    devices: list[str]

    @property
    def fake(self) -> FakeGolioth:
        """Their Golioth."""
        return self.site.fake

    def post(self, **fields: Any) -> httpx.Response:
        """A rollout to the cohort, unless `fields` say else."""
        body = {"name": "spring", "artifact_ids": [self.artifact_id], "cohort_id": self.cohort_id} | fields
        wanted = {name: value for name, value in body.items() if value is not None}
        return self.site.call("POST", "/rollouts", json=wanted)

    def start(self, **fields: Any) -> str:
        """Its id."""
        reply = self.post(**fields)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["rollout"]["id"])

    def read(self, rollout_id: str, **query: str) -> dict[str, Any]:
        """`{rollout, devices, next_cursor}`."""
        reply = self.site.call("GET", f"/rollouts/{rollout_id}", params=query)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def rollout(self, rollout_id: str) -> dict[str, Any]:
        """The rollout alone."""
        return dict(self.read(rollout_id)["rollout"])

    def step(self) -> Counter[str]:
        """What the scheduler does when the next step is due."""
        with self.site.platform.stack.connect() as connection:
            connection.execute("update integration_jobs set due_at = now() where status = 'pending'")
            connection.execute("""update firmware_rollouts set state = state - 'next_sweep'""")
        database, counts = as_service(), Counter[str]()
        database.call("plan_rollouts")
        for row in database.call("lease_jobs", p_limit=9, p_lease_seconds=30):
            counts.update(run_job(row, find_kind, database, Deadline(10)))
        return counts

    def history(self, device_id: str) -> list[dict[str, Any]]:
        """What members read of a device's updates, through /rest/v1."""
        columns = "external_id,from_version,to_version,state,message,steps"
        return self.site.platform.rows("firmware_updates", external_id=f"eq.{device_id}", select=columns)


@pytest.fixture
def site(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
    with environment_of(stack, monkeypatch), open_site(stack) as opened:
        yield opened


@pytest.fixture
def fleet(site: Site) -> Fleet:
    return make_fleet(site, 3)


def make_fleet(site: Site, count: int) -> Fleet:
    cohort_id = make_cohort(site.fake, "fleet")["cohortId"]
    devices = [add_device(site.fake, f"device-{number}", "1.2", cohort_id) for number in range(count)]
    return Fleet(site, cohort_id, make_artifact(site.fake, "main", "1.3")["id"], devices)


def know_devices(fleet: Fleet) -> None:
    """The devices are known to us, as a sync would have it."""
    with fleet.site.platform.stack.connect() as connection:
        for device_id in fleet.devices:
            connection.execute(
                "insert into devices (organization_id, integration_id, external_id, name, firmware_version)"
                " values (%s, %s, %s, %s, '1.2')",
                (
                    fleet.site.platform.user.organization_id,
                    fleet.site.integration["id"],
                    device_id,
                    device_id,
                ),
            )


def test_a_rollout_is_followed_to_its_end_with_one_failing_device(fleet: Fleet) -> None:
    know_devices(fleet)
    good, slow, bad = fleet.devices
    rollout_id = fleet.start()
    asked = fleet.rollout(rollout_id)

    fleet.step()
    begun = fleet.rollout(rollout_id)
    install_update(fleet.fake, good, "1.3")
    report_update(fleet.fake, slow, DOWNLOADING, target="1.3")
    fail_update(fleet.fake, bad, "1.3")
    fleet.step()
    half = fleet.rollout(rollout_id)
    install_update(fleet.fake, slow, "1.3")
    fleet.step()
    ended = fleet.rollout(rollout_id)

    assert (asked["status"], begun["status"], half["status"], ended["status"]) == (
        "starting",
        "running",
        "running",
        "done",
    )
    assert list(fleet.fake.store["deployments"]) == [begun["reference"]]
    none = dict.fromkeys(("pending", "downloading", "downloaded", "updated", "failed"), 0)
    assert begun["counts"] == none | {"devices": 3, "pending": 3}
    assert half["counts"] == none | {"devices": 3, "updated": 1, "downloading": 1, "failed": 1}
    assert ended["counts"] == none | {"devices": 3, "updated": 2, "failed": 1}
    assert ended["finished_at"]


def test_members_read_the_history_on_the_device_and_what_it_runs(fleet: Fleet) -> None:
    know_devices(fleet)
    rollout_id = fleet.start()
    fleet.step()
    install_update(fleet.fake, fleet.devices[0], "1.3")
    fail_update(fleet.fake, fleet.devices[1], "1.3")
    fleet.step()

    viewer = fleet.site.as_user("viewer")
    (good,), (bad,) = (fleet.history(device) for device in fleet.devices[:2])
    shown = viewer.call("GET", f"/rollouts/{rollout_id}", params={"state": "updated"}).json()["devices"]
    ours = {"integration_id": f"eq.{fleet.site.integration['id']}", "order": "external_id"}
    devices = viewer.platform.rows("devices", select="id,external_id,firmware_version", **ours)

    assert [step["state"] for step in good["steps"]] == ["downloading", "downloaded", "downloaded", "updated"]
    assert (good["from_version"], good["to_version"], good["state"]) == ("1.2", "1.3", "updated")
    assert (bad["state"], bad["message"]) == ("failed", "update failed")
    assert [(row["external_id"], row["device_id"]) for row in shown] == [(fleet.devices[0], devices[0]["id"])]
    assert [device["firmware_version"] for device in devices] == ["1.3", "1.2", "1.2"]


def test_the_failing_devices_raise_one_alert_and_the_end_is_in_the_activity(fleet: Fleet) -> None:
    fleet.start()
    fleet.step()
    for device in fleet.devices:
        fail_update(fleet.fake, device, "1.3")
    fleet.step()

    alerts = fleet.site.platform.rows("alerts", select="kind,message,resolved_at")
    activity = fleet.site.call("GET", "/activity").json()["activity"]

    message = "Rollout spring: 0 of 3 devices updated, 3 failed."
    assert alerts == [{"kind": "rollout.devices_failed", "message": message, "resolved_at": None}]
    assert [row["kind"] for row in activity] == ["rollout.devices_failed", "rollout.done", "rollout.started"]


def test_the_scheduler_runs_a_rollout_by_itself(fleet: Fleet) -> None:
    rollout_id = fleet.start()

    ticked = run_tick(fleet.site.platform.stack, seconds=10, idle_seconds=0.5)

    assert ticked["jobs"]["put_off"] >= 1
    assert fleet.rollout(rollout_id)["status"] == "running"


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_worker_killed_between_two_pages_loses_no_event_and_counts_none_twice(
    site: Site, *, newest_first: bool
) -> None:
    site.fake.most_per_page, site.fake.store["order"] = 4, {"newest_first": newest_first}
    fleet = make_fleet(site, 6)
    rollout_id = fleet.start()
    fleet.step()
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")

    site.fake.faults += [Fault("ota-events", times=2), Fault("ota-events", seconds=5)]
    kill_worker(fleet, before_call=3)
    half = [len(device["steps"]) for device in fleet.read(rollout_id)["devices"]]
    fleet.step()

    devices = fleet.read(rollout_id)["devices"]
    assert sum(half) == 8
    assert [len(device["steps"]) for device in devices] == [4] * 6
    assert fleet.rollout(rollout_id)["status"] == "done"


def kill_worker(fleet: Fleet, before_call: int) -> None:
    """A worker of its own process takes the job and is killed while it waits for a page of events."""
    stack, begun = fleet.site.platform.stack, len(list_event_calls(fleet))
    with stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now() where status = 'pending'")
    worker = subprocess.Popen(
        [sys.executable, "-m", "shared.scheduler.worker"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    ends = time.monotonic() + 30
    while len(list_event_calls(fleet)) < begun + before_call and time.monotonic() < ends:
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    with stack.connect() as connection:
        # What time does by itself half a minute later.
        connection.execute("update integration_jobs set due_at = now() where status = 'running'")


def list_event_calls(fleet: Fleet) -> list[str]:
    return [call for call in fleet.fake.calls if call.endswith("/ota-events")]


def test_a_worker_that_was_taken_over_stops_and_nothing_is_counted_twice(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    install_update(fleet.fake, fleet.devices[0], "1.3")
    gate, late = threading.Event(), threading.Thread(target=fleet.step)
    fleet.fake.faults.append(Fault("ota-events", gate=gate))
    begun = len(list_event_calls(fleet))
    late.start()
    wait_until(lambda: len(list_event_calls(fleet)) > begun, "nobody asked for events")
    with fleet.site.platform.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now()")
    counts = fleet.step()
    gate.set()
    late.join()

    (updated,) = fleet.read(rollout_id, state="updated")["devices"]
    assert counts == {"put_off": 1}
    assert len(updated["steps"]) == 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST .*/deployments", status=408),
        Fault("POST .*/deployments", status=425),
        Fault("POST .*/deployments", status=500),
        Fault("POST .*/deployments", close="before"),
        Fault("POST .*/deployments", close="after"),
        Fault("POST .*/deployments", status=429, headers={"Retry-After": "29"}),
        Fault("GET .*/deployments", close="before"),
    ],
    ids=["408", "425", "500", "closed before", "closed after", "429", "closed on looking"],
)
def test_a_start_that_goes_wrong_is_told_and_completed_with_one_deployment(
    fleet: Fleet, fault: Fault
) -> None:
    rollout_id = fleet.start()
    fleet.fake.faults.append(replace(fault))

    counts = fleet.step()
    told = fleet.rollout(rollout_id)
    fleet.fake.faults.clear()
    fleet.step()
    done = fleet.rollout(rollout_id)

    assert counts == {"retried": 1}
    assert told["status"] == "starting"
    assert told["error"]
    assert (done["status"], done["error"]) == ("running", None)
    assert len(fleet.fake.store["deployments"]) == 1


@pytest.mark.parametrize("status", [400, 409, 410, 501])
def test_a_start_that_golioth_refuses_for_good_fails_with_its_words(fleet: Fleet, status: int) -> None:
    rollout_id = fleet.start()
    fleet.fake.faults.append(Fault("POST .*/deployments", status=status))

    fleet.step()

    rollout = fleet.rollout(rollout_id)
    assert (rollout["status"], rollout["error"]) == ("failed", f"Golioth answered {status}: injected")
    assert fleet.start(name="summer")


def test_an_outage_of_the_platform_keeps_the_rollout_and_says_why(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    install_update(fleet.fake, fleet.devices[0], "1.3")
    fleet.fake.faults.append(Fault(close="before", times=99))

    counts = [fleet.step() for _ in range(3)]
    away = fleet.rollout(rollout_id)
    fleet.fake.faults.clear()
    fleet.step()

    back = fleet.rollout(rollout_id)
    assert counts == [{"retried": 1}] * 3
    assert (away["status"], away["counts"]["updated"]) == ("running", 0)
    assert away["error"]
    assert (back["error"], back["counts"]["updated"]) == (None, 1)


def test_a_second_rollout_to_the_same_target_is_refused_until_it_replaces_the_first(fleet: Fleet) -> None:
    first = fleet.start()
    newer = make_artifact(fleet.fake, "main", "1.4")["id"]
    body = {"name": "summer", "artifact_ids": [newer]}

    refused = fleet.post(**body)
    fleet.step()
    again = fleet.post()
    second = fleet.start(**body, replace=True)
    fleet.step()

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert again.status_code == 409
    assert (fleet.rollout(first)["status"], fleet.rollout(second)["status"]) == ("cancelled", "running")
    assert fleet.rollout(first)["error"] == "Replaced by summer."
    assert len(fleet.fake.store["deployments"]) == 2


def test_a_name_that_the_platform_has_already_is_refused(fleet: Fleet) -> None:
    fleet.start()
    fleet.step()
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")
    fleet.step()

    reply = fleet.post()

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert "spring" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"artifact_ids": []}, "artifact_ids"),
        ({"artifact_ids": ["unknown"]}, "artifact_ids"),
        ({"cohort_id": "unknown"}, "cohort_id"),
        ({"cohort_id": None}, ""),
        ({"tag_id": "beta"}, ""),
        ({"time_limit_seconds": 5}, "time_limit_seconds"),
        ({"time_limit_seconds": True}, "time_limit_seconds"),
        ({"x": 1}, "x"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_begins(fleet: Fleet, fields: dict[str, Any], field: str) -> None:
    reply = fleet.post(**fields)

    assert reply.status_code == 400
    assert [error["field"] for error in reply.json()["errors"]] == [field]
    assert fleet.site.call("GET", "/rollouts").json() == {"rollouts": [], "next_cursor": None}


def test_two_versions_of_a_package_are_refused(fleet: Fleet) -> None:
    other = make_artifact(fleet.fake, "main", "1.4")["id"]

    reply = fleet.post(artifact_ids=[fleet.artifact_id, other])

    assert [error["field"] for error in reply.json()["errors"]] == ["artifact_ids"]


def test_cancelling_before_it_has_begun_sends_nothing(fleet: Fleet) -> None:
    rollout_id = fleet.start()

    cancelled = fleet.site.call("POST", f"/rollouts/{rollout_id}/cancel")
    fleet.step()
    again = fleet.site.call("POST", f"/rollouts/{rollout_id}/cancel")

    assert (cancelled.status_code, cancelled.json()["rollout"]["status"]) == (200, "cancelled")
    assert again.status_code == 409
    assert not fleet.fake.store["deployments"]


def test_a_deployment_that_has_begun_can_not_be_cancelled(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()

    reply = fleet.site.call("POST", f"/rollouts/{rollout_id}/cancel")

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")
    assert fleet.rollout(rollout_id)["status"] == "running"


def test_a_release_goes_to_the_devices_of_a_tag_and_is_switched_off_by_cancelling(
    stack: Stack, site: Site
) -> None:
    with open_site(stack, golioth_organization_id=None) as legacy:
        fleet = make_fleet(legacy, 1)
        tagged = add_device(legacy.fake, "tagged", "1.2", tags=("beta",))
        rollout_id = fleet.start(cohort_id=None, tag_id="beta")
        fleet.step()
        report_update(legacy.fake, tagged, DOWNLOADING, target="1.3")
        fleet.step()
        running = fleet.read(rollout_id)
        cancelled = legacy.call("POST", f"/rollouts/{rollout_id}/cancel").json()["rollout"]
        (release,) = legacy.fake.store["releases"].values()

    assert site.fake.calls == []
    assert [(each["external_id"], each["state"]) for each in running["devices"]] == [(tagged, "downloading")]
    assert (cancelled["status"], release["rollout"]) == ("cancelled", False)


def test_a_release_that_is_replaced_is_switched_off(site: Site) -> None:
    fleet = make_fleet(site, 1)
    to_tag = {"cohort_id": None, "tag_id": "beta"}
    add_device(site.fake, "tagged", "1.2", tags=("beta",))
    fleet.start(**to_tag)
    fleet.step()

    newer = make_artifact(site.fake, "main", "1.4")["id"]
    fleet.start(**to_tag, name="summer", artifact_ids=[newer], replace=True)
    fleet.step()

    releases = {item["releaseTags"][0]: item["rollout"] for item in site.fake.store["releases"].values()}
    assert releases == {"spring": False, "summer": True}


def test_a_rollout_cancelled_while_the_platform_is_told_is_taken_back(site: Site) -> None:
    fleet = make_fleet(site, 1)
    rollout_id = fleet.start(cohort_id=None, tag_id="beta")
    gate, starting = threading.Event(), threading.Thread(target=fleet.step)
    site.fake.faults.append(Fault("POST .*/releases", gate=gate))
    starting.start()
    wait_until(lambda: any(call.startswith("POST /projects") for call in site.fake.calls), "nothing was told")
    cancelled = site.call("POST", f"/rollouts/{rollout_id}/cancel")
    gate.set()
    starting.join()

    (release,) = site.fake.store["releases"].values()
    assert cancelled.json()["rollout"]["status"] == "cancelled"
    assert release["rollout"] is False


def test_a_device_that_says_nothing_in_events_is_read_itself(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")
    fleet.fake.store["events"].clear()

    fleet.step()

    assert fleet.rollout(rollout_id)["status"] == "done"
    assert {device["state"] for device in fleet.read(rollout_id)["devices"]} == {"updated"}


def test_a_rollout_does_not_end_before_its_events_are_read_to_their_end(site: Site) -> None:
    site.fake.most_per_page = 1
    fleet = make_fleet(site, 26)
    rollout_id = fleet.start()
    fleet.step()
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")

    fleet.step()
    half = fleet.rollout(rollout_id)
    fleet.step()

    devices = fleet.read(rollout_id)["devices"]
    assert (half["status"], half["counts"]["updated"]) == ("running", 26)
    assert fleet.rollout(rollout_id)["status"] == "done"
    assert {sum("event" in step for step in device["steps"]) for device in devices} == {4}


def test_events_whose_pages_lead_in_a_circle_are_told_and_read_anew_once_they_end(site: Site) -> None:
    site.fake.most_per_page = 1
    fleet = make_fleet(site, 3)
    rollout_id = fleet.start()
    fleet.step()
    site.fake.store["order"]["circles"] = {"id": "circles"}
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")

    fleet.step()
    circling = fleet.rollout(rollout_id)
    asked = len(list_event_calls(fleet))
    site.fake.store["order"].clear()
    fleet.step()

    ended = fleet.rollout(rollout_id)
    assert asked < 50
    assert (circling["status"], "circle" in circling["error"]) == ("running", True)
    assert (ended["status"], ended["error"], ended["counts"]["updated"]) == ("done", None, 3)


def test_what_makes_no_sense_stops_nothing(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    odd: list[Any] = [
        None,
        "",
        "\x00",
        "x" * 600,
        10**30,
        {"a": []},
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ]
    names = ("deviceId", "packageId", "eventType", "currentVersion", "targetVersion", "status", "message")
    known = {"deviceId": fleet.devices[0], "packageId": "main", "timestamp": "2026-03-01T10:00:00Z"}
    for number, (name, value) in enumerate(product(names, odd)):
        event = dict.fromkeys(names) | known | {name: value, "cohortId": fleet.cohort_id}
        fleet.fake.store["events"][f"odd-{number}"] = event | {"timestamp": "2036-03-01T10:00:00Z"}
    nonsense: list[Any] = [{"main": odd}, {"\x00": {}}, {"main": {"version": "\x00", "time": odd[6]}}]
    for update in nonsense:
        device = add_device(fleet.fake, "odd", "1.2", fleet.cohort_id)
        fleet.fake.store["devices"][device]["metadata"]["update"] = update
    install_update(fleet.fake, fleet.devices[1], "1.3")
    first = fleet.step()
    install_update(fleet.fake, fleet.devices[2], "1.3")
    second = fleet.step()

    assert (first, second) == ({"put_off": 1}, {"put_off": 1})
    assert fleet.rollout(rollout_id)["counts"]["updated"] == 2
    assert [len(fleet.history(device)[0]["steps"]) for device in fleet.devices[1:]] == [4, 4]


def test_a_device_that_runs_the_version_already_is_through_at_once(fleet: Fleet) -> None:
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")
    rollout_id = fleet.start()

    fleet.step()

    assert fleet.rollout(rollout_id)["status"] == "done"


def test_a_clock_that_is_ahead_of_ours_changes_nothing(site: Site) -> None:
    site.fake.store["clock"]["ahead"] = 3600
    fleet = make_fleet(site, 1)
    fail_update(fleet.fake, fleet.devices[0], "1.3")  # before the rollout, and so none of its business
    rollout_id = fleet.start()
    fleet.step()
    before = fleet.rollout(rollout_id)
    install_update(fleet.fake, fleet.devices[0], "1.3")
    fleet.step()

    assert (before["status"], before["counts"]["pending"]) == ("running", 1)
    assert fleet.rollout(rollout_id)["counts"]["updated"] == 1


def test_a_device_that_tries_again_by_itself_is_waited_for(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    for device in fleet.devices:
        fail_update(fleet.fake, device, "1.3")
        report_update(fleet.fake, device, IDLE, AWAIT_RETRY)
    fleet.step()
    waiting = fleet.read(rollout_id)
    for device in fleet.devices:
        install_update(fleet.fake, device, "1.3")
    fleet.step()

    assert waiting["rollout"]["status"] == "running"
    assert {device["message"] for device in waiting["devices"]} == {
        "The update failed; the device tries again by itself."
    }
    assert fleet.rollout(rollout_id)["counts"]["updated"] == 3


def test_an_image_that_was_rolled_back_is_not_taken_for_an_update(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    report_update(fleet.fake, fleet.devices[0], DOWNLOADED, target="1.3")
    report_update(fleet.fake, fleet.devices[0], UPDATING)
    fleet.step()
    restarting = fleet.read(rollout_id, state="downloaded")["devices"]
    report_update(fleet.fake, fleet.devices[0], IDLE)
    fleet.step()

    (shown,) = [each for each in fleet.read(rollout_id)["devices"] if each["external_id"] == fleet.devices[0]]
    assert [each["external_id"] for each in restarting] == fleet.devices[:1]
    assert (shown["state"], shown["message"]) == ("pending", "It is idle again with its old version.")


def test_a_device_that_left_the_cohort_is_not_waited_for(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    fleet.step()
    for device in fleet.devices[1:]:
        install_update(fleet.fake, device, "1.3")
    fleet.fake.store["devices"][fleet.devices[0]]["cohortId"] = ""
    statuses = []
    for _ in range(2):
        fleet.step()
        statuses.append(fleet.rollout(rollout_id)["status"])

    assert statuses == ["running", "done"]
    (gone,) = fleet.read(rollout_id, state="failed")["devices"]
    assert gone["external_id"] == fleet.devices[0]


def test_what_is_not_updated_within_the_time_limit_has_failed(fleet: Fleet) -> None:
    rollout_id = fleet.start(time_limit_seconds=60)
    fleet.step()
    with fleet.site.platform.stack.connect() as connection:
        connection.execute("update firmware_rollouts set ends_at = now()")

    fleet.step()

    assert fleet.rollout(rollout_id)["status"] == "done"
    assert fleet.rollout(rollout_id)["counts"]["failed"] == 3


def test_a_rollout_that_can_not_be_started_in_time_fails_with_the_reason(fleet: Fleet) -> None:
    rollout_id = fleet.start(time_limit_seconds=60)
    fleet.fake.faults.append(Fault("deployments", times=99, close="before"))
    with fleet.site.platform.stack.connect() as connection:
        connection.execute("update firmware_rollouts set ends_at = now()")

    fleet.step()

    rollout = fleet.rollout(rollout_id)
    assert rollout["status"] == "failed"
    assert rollout["error"]


def test_rollouts_side_by_side_do_not_stop_one_another(site: Site) -> None:
    fleets = [make_fleet(site, 1), Fleet(site, make_cohort(site.fake, "other")["cohortId"], "", [])]
    ids = [fleets[0].start(), fleets[1].start(artifact_ids=[fleets[0].artifact_id], name="other")]
    site.fake.faults.append(Fault(f"POST .*{fleets[0].cohort_id}/deployments", times=9, status=500))

    fleets[0].step()

    assert [fleets[0].rollout(each)["status"] for each in ids] == ["starting", "done"]


def test_devices_come_page_by_page_and_rollouts_newest_first(site: Site) -> None:
    fleet = make_fleet(site, 5)
    first = fleet.start()
    fleet.step()
    seen, cursor = [], ""
    while cursor is not None:
        page = fleet.read(first, limit="2", cursor=cursor)
        seen += [device["external_id"] for device in page["devices"]]
        cursor = page["next_cursor"]
    second = fleet.start(name="summer", replace=True)

    listed = site.call("GET", "/rollouts").json()["rollouts"]
    running = site.call("GET", "/rollouts", params={"status": "cancelled"}).json()["rollouts"]

    assert sorted(seen) == sorted(fleet.devices)
    assert [rollout["id"] for rollout in listed] == [second, first]
    assert [rollout["id"] for rollout in running] == [first]


@pytest.mark.parametrize(
    ("caller", "statuses"),
    [
        (("viewer", 0), (200, 200, 403)),
        (("member", 0), (200, 200, 403)),
        (("owner", 1), (404, 404, 404)),
        (("stranger", 0), (404, 404, 404)),
    ],
)
def test_members_see_rollouts_and_only_admins_cancel_them(
    fleet: Fleet, caller: tuple[str, int], statuses: tuple[int, ...]
) -> None:
    rollout_id = fleet.start()
    other = fleet.site.as_user(*caller)

    replies = [
        other.call("GET", "/rollouts"),
        other.call("GET", f"/rollouts/{rollout_id}"),
        other.call("POST", f"/rollouts/{rollout_id}/cancel"),
    ]

    assert tuple(reply.status_code for reply in replies) == statuses
    assert fleet.rollout(rollout_id)["status"] == "starting"


def test_a_rollout_written_past_the_api_fails_with_the_reason(fleet: Fleet) -> None:
    rollout_id = fleet.start()
    with fleet.site.platform.stack.connect() as connection:
        connection.execute("""update firmware_rollouts set target = '{"everybody": true}'""")

    fleet.step()

    assert fleet.rollout(rollout_id)["status"] == "failed"
    assert "not what the API writes" in fleet.rollout(rollout_id)["error"]
