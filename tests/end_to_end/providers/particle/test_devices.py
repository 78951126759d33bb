"""Devices of a product and ours in step, functions called, a rollout to its end, a token that is revoked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from shared.jobs.kinds import find_kind
from shared.jobs.run import run_job
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.clouds import (
    add_known,
    begin_command,
    begin_sync,
    check_large_sync,
    check_revoked,
    complete_provisionings,
    read_command,
    retry_commands,
    tell,
)
from tests.end_to_end.providers.particle.site import connect, name_device
from tests.fakes.particle.server import FakeParticle
from tests.platform import Platform, run_tick

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")
ROOF = {"name": "Roof", "hardware_ids": [name_device(5)], "tags": ["field"], "credentials": "none"}


@pytest.fixture
def fake() -> Iterator[FakeParticle]:
    with FakeParticle() as started:
        yield started


def test_devices_are_imported_with_groups_and_notes_and_told_of_changes_here(
    admin: Platform, fake: FakeParticle
) -> None:
    fake.know(name_device(1), name="Roof", groups=["field"], notes="north side", firmware_version=7)
    fleet = connect(admin, fake, sync_direction="both")

    first = fleet.sync()
    device = fleet.devices()["Roof"]
    fleet.rename("Roof", "Attic", tags=["field", "dry"])
    second = fleet.sync()

    assert (first["counts"]["created"], second["counts"]["exported"]) == (1, 1)
    assert (device["external_id"], device["firmware_version"]) == (name_device(1), "7")
    assert device["metadata"]["tags"] == ["field"]
    assert device["metadata"]["provider"]["attributes"]["notes"] == "north side"
    there = fake.devices[name_device(1)]
    assert (there["name"], there["groups"]) == ("Attic", ["field", "dry"])


def test_a_device_made_here_is_added_and_claimed_there_also_when_the_answer_is_lost(
    admin: Platform, fake: FakeParticle
) -> None:
    fleet = connect(admin, fake, sync_direction="export", claim_user="fleet@example.com")
    fleet.add("x", "Roof", hardware_ids=[name_device(5)], tags=["field"])
    fake.lost = 1
    job_id = fleet.begin(direction="export")["id"]
    for _ in range(3):
        fleet.work()

    assert fleet.read(job_id)["status"] == "done"
    assert [(each["id"], each["claimed_by"]) for each in fake.devices.values()] == [
        (name_device(5), "fleet@example.com")
    ]
    there = fake.devices[name_device(5)]
    assert (there["name"], there["groups"]) == ("Roof", ["field"])
    assert fleet.devices()["Roof"]["external_id"] == name_device(5)
    assert fleet.conflicts() == []


def test_a_device_made_here_has_its_name_and_groups_also_when_its_making_was_cut_off(
    admin: Platform, fake: FakeParticle
) -> None:
    fleet = connect(admin, fake)
    fake.lost = 1

    made = admin.call("POST", f"{fleet.path}/devices", json=ROOF)
    complete_provisionings(fleet)

    assert made.status_code == 202, made.text
    there = fake.devices[name_device(5)]
    assert (there["name"], there["groups"]) == ("Roof", ["field"])
    assert fleet.conflicts() == []


def test_a_device_that_the_token_may_add_but_not_name_is_not_left_there(
    admin: Platform, fake: FakeParticle
) -> None:
    fleet = connect(admin, fake, sync_direction="export")
    fake.missing.add("devices:update")

    refused = admin.call("POST", f"{fleet.path}/devices", json=ROOF)
    left = list(fake.devices)
    fleet.add("x", "Attic", hardware_ids=[name_device(6)], tags=["field"])
    synced = fleet.sync()
    fake.missing.clear()
    again = admin.call("POST", f"{fleet.path}/devices", json=ROOF)

    assert (refused.status_code, "devices:update" in refused.json()["detail"]) == (502, True)
    assert left == []
    assert synced["counts"] == {"refused": 1}
    assert again.status_code == 201, again.text
    assert list(fake.devices) == [name_device(5)]


@pytest.mark.parametrize("wrong", [".", "..", "roof"])
def test_a_device_whose_id_particle_can_not_have_is_refused_by_itself(
    admin: Platform, fake: FakeParticle, wrong: str
) -> None:
    fleet = connect(admin, fake, sync_direction="both")
    fleet.add(wrong)
    fleet.add("x", "Roof", hardware_ids=[name_device(5)])

    synced = fleet.sync()

    assert (synced["counts"]["refused"], synced["counts"]["created_there"]) == (1, 1)
    assert list(fake.devices) == [name_device(5)]


def test_a_sync_names_no_device_anew_that_has_a_name_there(admin: Platform, fake: FakeParticle) -> None:
    fake.know(name_device(5), name="Barn", groups=["lab"])
    fleet = connect(admin, fake, sync_direction="export", sync_groups=["field"])
    fleet.add("x", "Roof", hardware_ids=[name_device(5)], tags=["field"])

    fleet.sync()

    there = fake.devices[name_device(5)]
    assert (there["name"], there["groups"]) == ("Barn", ["lab"])
    assert [each["fields"] for each in fleet.conflicts()] == [["name", "tags"]]


def test_ten_thousand_devices_take_little_memory_and_a_second_run_changes_nothing(
    admin: Platform, fake: FakeParticle
) -> None:
    for number in range(10_000):
        fake.know(name_device(number), groups=["field"])

    check_large_sync(connect(admin, fake))


def test_a_command_calls_the_function_and_has_its_answer(admin: Platform, fake: FakeParticle) -> None:
    fake.know(name_device(1))
    fake.functions[name_device(1), "led"] = len
    fleet = connect(admin, fake)
    command_id = tell(fleet, name_device(1), "led", "on")

    run_tick(admin.stack, idle_seconds=0.5)

    shown = read_command(fleet, command_id)
    assert (shown["status"], shown["result"]) == ("confirmed", {"return_value": 2})


def test_a_device_that_sleeps_is_called_again_once_it_is_back(admin: Platform, fake: FakeParticle) -> None:
    fake.know(name_device(1), connected=False)
    fake.functions[name_device(1), "led"] = len
    fleet = connect(admin, fake)
    command_id = tell(fleet, name_device(1), "led", "on")

    run_tick(admin.stack, idle_seconds=0.5)
    waiting = read_command(fleet, command_id)
    fake.devices[name_device(1)]["connected"] = True
    retry_commands(admin)

    assert (waiting["status"], "not connected" in waiting["error"]) == ("pending", True)
    assert read_command(fleet, command_id)["status"] == "confirmed"
    assert fake.called == [(name_device(1), "led", "on")]


def test_the_variables_are_the_devices_state(admin: Platform, fake: FakeParticle) -> None:
    fake.know(name_device(1), variables={"t": "double"})
    fake.variables[name_device(1), "t"] = 21.5
    fleet = connect(admin, fake)
    device_id = add_known(admin, fleet.integration["id"], name_device(1))

    read = admin.call("GET", f"{fleet.path}/devices/{device_id}/state?path=t")
    written = admin.call("PUT", f"{fleet.path}/devices/{device_id}/state?path=t", json={"value": 1})

    assert read.json()["state"] == 21.5, read.text
    assert written.status_code == 501, written.text


def step(admin: Platform) -> Counter[str]:
    """What the scheduler does when the next step of the rollouts is due."""
    with admin.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now() where status = 'pending'")
        connection.execute("update firmware_rollouts set state = state - 'next_sweep'")
    database, counts = as_service(), Counter[str]()
    database.call("plan_rollouts")
    for row in database.call("lease_jobs", p_limit=9, p_lease_seconds=30):
        counts.update(run_job(row, find_kind, database, Deadline(10)))
    return counts


def upload(fleet: Fleet, version: str) -> str:
    reply = fleet.admin.call(
        "POST",
        f"{fleet.path}/artifacts?version={version}",
        content=bytes(range(256)) * 64,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["artifact"]["id"])


def test_a_rollout_to_a_group_is_followed_to_its_end(admin: Platform, fake: FakeParticle) -> None:
    for number in range(3):
        fake.know(name_device(number), groups=["field"])
    fake.know(name_device(9), groups=["lab"])
    fleet = connect(admin, fake)
    artifact = upload(fleet, "2")
    body = {"name": "spring", "artifact_ids": [artifact], "cohort_id": "field"}

    started = fleet.admin.call("POST", f"{fleet.path}/rollouts", json=body)
    rollout = f"{fleet.path}/rollouts/{started.json()['rollout']['id']}"
    fake.lost = 1
    for _ in range(2):
        step(admin)
    begun = admin.call("GET", rollout).json()["rollout"]
    fake.run_version(name_device(0), 2)
    step(admin)
    half = admin.call("GET", rollout).json()["rollout"]
    for number in (1, 2):
        fake.run_version(name_device(number), 2)
    step(admin)
    ended = admin.call("GET", rollout).json()["rollout"]

    assert fake.firmware == {2: bytes(range(256)) * 64}
    assert {(each["version"], *each["groups"], each["intelligent"]) for each in fake.releases} == {
        (2, "field", True)
    }
    assert [begun["status"], half["status"], ended["status"]] == ["running", "running", "done"]
    assert (half["counts"]["updated"], half["counts"]["devices"]) == (1, 3)
    assert (ended["counts"]["updated"], ended["counts"]["failed"]) == (3, 0)


def test_a_release_that_particle_refuses_ends_the_rollout_with_its_words(
    admin: Platform, fake: FakeParticle
) -> None:
    fake.know(name_device(1), groups=["field"])
    fake.is_strict = True
    fleet = connect(admin, fake)
    body = {"name": "spring", "artifact_ids": [upload(fleet, "2")], "cohort_id": "field"}
    started = fleet.admin.call("POST", f"{fleet.path}/rollouts", json=body).json()["rollout"]

    step(admin)

    ended = admin.call("GET", f"{fleet.path}/rollouts/{started['id']}").json()["rollout"]
    assert ended["status"] == "failed"
    assert "running on at least one device" in ended["error"]


@pytest.mark.parametrize("way", ["sync", "command"])
def test_a_token_that_is_revoked_becomes_an_alert_that_ends_with_the_next_success(
    admin: Platform, fake: FakeParticle, way: str
) -> None:
    fake.know(name_device(1))
    fake.functions[name_device(1), "led"] = len
    fleet = connect(admin, fake)
    token, fake.token = fake.token, "another"
    do = begin_sync(fleet) if way == "sync" else begin_command(fleet, name_device(1), "led", "on")

    said = check_revoked(admin, do, lambda: setattr(fake, "token", token))

    assert "invalid_token" in said
    assert token not in said


def test_two_workers_and_one_token_of_an_oauth_client(admin: Platform, fake: FakeParticle) -> None:
    client_id, secret = fake.client
    for number in range(4):
        fake.know(name_device(number))
        fake.functions[name_device(number), "led"] = len
    fleet = connect(admin, fake, access_token=None, client_id=client_id, client_secret=secret)
    commands = [tell(fleet, name_device(number), "led", "on") for number in range(4)]

    ticks = [
        threading.Thread(target=run_tick, args=(admin.stack,), kwargs={"idle_seconds": 0.5}) for _ in range(2)
    ]
    for each in ticks:
        each.start()
    for each in ticks:
        each.join()

    assert {read_command(fleet, each)["status"] for each in commands} == {"confirmed"}
    assert len(fake.called) == 4
