"""The hub's registry and our devices in step, methods called by commands, twins as state, a key that is revoked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.azure.site import connect
from tests.end_to_end.providers.clouds import (
    add_known,
    begin_command,
    begin_sync,
    check_large_sync,
    check_revoked,
    complete_provisionings,
    open_alerts,
    read_command,
    retry_commands,
    tell,
)
from tests.fakes.azure.iot_hub import FakeIotHub, RefusedError
from tests.platform import Platform, run_tick

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")


@pytest.fixture
def fake() -> Iterator[FakeIotHub]:
    with FakeIotHub() as started:
        yield started


def test_devices_are_imported_with_tags_and_told_of_changes_here(admin: Platform, fake: FakeIotHub) -> None:
    fake.know("pump-1", {"name": "Pump", "field": True, "site": "berlin"})
    fleet = connect(admin, fake, sync_direction="both")

    first = fleet.sync()
    device = fleet.devices()["Pump"]
    fleet.rename("Pump", "Old pump", tags=["dry", "field"])
    second = fleet.sync()

    assert (first["counts"]["created"], second["counts"]["exported"]) == (1, 1)
    assert (device["external_id"], device["metadata"]["tags"]) == ("pump-1", ["field"])
    assert device["metadata"]["provider"]["attributes"]["site"] == "berlin"
    assert fake.devices["pump-1"]["tags"] == {
        "name": "Old pump",
        "field": True,
        "dry": True,
        "site": "berlin",
    }


def test_a_device_made_here_is_in_the_registry_with_the_key_that_is_shown_once(
    admin: Platform, fake: FakeIotHub
) -> None:
    fleet = connect(admin, fake)

    made = admin.call("POST", f"{fleet.path}/devices", json={"name": "roof-1", "tags": ["field"]})
    printed = admin.call(
        "POST",
        f"{fleet.path}/devices",
        json={"name": "roof-2", "hardware_ids": ["a" * 40], "credentials": "none"},
    )

    assert made.status_code == 201, made.text
    assert printed.status_code == 201, printed.text
    credentials = made.json()["credentials"]
    there = fake.devices["roof-1"]["authentication"]
    assert (credentials["identity"], there["symmetricKey"]["primaryKey"]) == (
        "roof-1",
        credentials["pre_shared_key"],
    )
    assert fake.devices["roof-2"]["authentication"]["x509Thumbprint"]["primaryThumbprint"] == "A" * 40


def test_a_device_whose_making_was_cut_off_is_completed_and_is_one(admin: Platform, fake: FakeIotHub) -> None:
    fleet = connect(admin, fake, sync_direction="export")
    fleet.add("x", "Roof, north", hardware_ids=["roof-1"], tags=["field"])
    fake.lost = 1
    job_id = fleet.begin(direction="export")["id"]
    for _ in range(3):
        fleet.work()

    assert fleet.read(job_id)["status"] == "done"
    assert list(fake.devices) == ["roof-1"]
    assert fake.devices["roof-1"]["tags"] == {"name": "Roof, north", "field": True}
    assert fleet.devices()["Roof, north"]["external_id"] == "roof-1"
    assert fleet.conflicts() == []


def test_a_device_made_here_has_its_name_and_tags_also_when_its_making_was_cut_off(
    admin: Platform, fake: FakeIotHub
) -> None:
    fleet = connect(admin, fake)
    fake.lost = 1
    body = {"name": "Roof, north", "hardware_ids": ["hw-7"], "tags": ["field"], "credentials": "none"}

    made = admin.call("POST", f"{fleet.path}/devices", json=body)
    complete_provisionings(fleet)

    assert made.status_code == 202, made.text
    assert fake.devices["hw-7"]["tags"] == {"name": "Roof, north", "field": True}
    assert fleet.conflicts() == []


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        ({"credentials": "certificate"}, "credentials", "thumbprint"),
        ({"hardware_ids": ["a" * 40]}, "hardware_ids", "credentials: none"),
    ],
)
def test_credentials_that_the_device_could_not_sign_in_with_are_refused_at_their_field(
    admin: Platform, fake: FakeIotHub, body: dict[str, object], field: str, remedy: str
) -> None:
    fleet = connect(admin, fake)

    refused = admin.call("POST", f"{fleet.path}/devices", json={"name": "roof-1"} | body)

    assert refused.status_code == 400, refused.text
    (error,) = refused.json()["errors"]
    assert (error["field"], remedy in error["message"]) == (field, True)
    assert fake.devices == {}
    assert fleet.devices() == {}


@pytest.mark.parametrize(
    ("config", "hardware_ids", "authentication"),
    [
        ({}, ["a" * 40], "selfSigned"),
        ({"device_authentication": "certificateAuthority"}, [], "certificateAuthority"),
    ],
)
def test_a_device_is_made_with_a_certificate_that_the_hub_will_know(
    admin: Platform,
    fake: FakeIotHub,
    config: dict[str, str],
    hardware_ids: list[str],
    authentication: str,
) -> None:
    fleet = connect(admin, fake, **config)
    body = {"name": "roof-1", "hardware_ids": hardware_ids, "credentials": "certificate"}

    made = admin.call("POST", f"{fleet.path}/devices", json=body)

    assert (made.status_code, made.json()["credentials"]["common_name"]) == (201, "roof-1"), made.text
    assert fake.devices["roof-1"]["authentication"]["type"] == authentication


@pytest.mark.parametrize("wrong", [".", "..", "a/b"])
def test_a_device_whose_id_the_hub_can_not_have_is_refused_by_itself(
    admin: Platform, fake: FakeIotHub, wrong: str
) -> None:
    fleet = connect(admin, fake, sync_direction="both")
    fleet.add(wrong)
    fleet.add("x", "roof-1")

    synced = fleet.sync()
    made = admin.call("POST", f"{fleet.path}/devices", json={"name": wrong, "credentials": "none"})

    assert (synced["counts"]["refused"], synced["counts"]["created_there"]) == (1, 1)
    assert (made.status_code, "128 letters" in made.text) == (502, True)
    assert list(fake.devices) == ["roof-1"]


def test_a_device_whose_tags_the_hub_refuses_is_not_left_there(admin: Platform, fake: FakeIotHub) -> None:
    fleet = connect(admin, fake, sync_direction="export")
    fake.twin_refusals = [RefusedError(400, "400011", "The tags are larger than 8 KB.") for _ in range(2)]
    body = {"name": "roof-1", "tags": ["field"]}

    refused = admin.call("POST", f"{fleet.path}/devices", json=body)
    left = list(fake.devices)
    fleet.add("x", "roof-2", tags=["field"])
    synced = fleet.sync()
    again = admin.call("POST", f"{fleet.path}/devices", json=body)

    assert (refused.status_code, "8 KB" in refused.json()["detail"]) == (502, True)
    assert left == []
    assert synced["counts"] == {"refused": 1}
    assert again.status_code == 201, again.text
    assert list(fake.devices) == ["roof-1"]


def test_ten_thousand_devices_take_little_memory_and_a_second_run_changes_nothing(
    admin: Platform, fake: FakeIotHub
) -> None:
    for number in range(10_000):
        fake.know(f"d-{number:05}", {"field": True, "site": "berlin"})

    check_large_sync(connect(admin, fake))


@pytest.mark.parametrize("count", [50, 250])
def test_a_list_that_leads_in_a_circle_ends_the_sync_with_an_alert_and_nobody_is_missed(
    admin: Platform, fake: FakeIotHub, count: int
) -> None:
    for number in range(count):
        fake.know(f"d-{number:05}")
    fleet = connect(admin, fake)
    fleet.sync()
    del fake.devices["d-00049"]
    fake.circles = True
    fake.asked.clear()

    job_id = fleet.begin()["id"]
    fleet.work()
    job, told = fleet.read(job_id), open_alerts(admin, "sync.failing")
    missing = find_missing(fleet)
    fake.circles = False
    fleet.sync()

    assert (job["status"], "circle" in job["error"]) == ("failed", True)
    assert len(fake.asked) < 20
    assert [message for message in told if "circle" in message] == told
    assert len(told) == 1
    assert missing == []
    assert find_missing(fleet) == ["d-00049"]
    assert open_alerts(admin, "sync.failing") == []


def find_missing(fleet: Fleet) -> list[str]:
    """The devices that are taken for gone at the hub."""
    shown = fleet.devices().values()
    return [each["external_id"] for each in shown if "missing_since" in each["metadata"].get("provider", {})]


def test_a_right_that_only_the_sync_lacks_is_an_alert_that_commands_do_not_end(
    admin: Platform, fake: FakeIotHub
) -> None:
    fake.know("pump-1")
    fake.methods["pump-1", "reboot"] = lambda _: (200, None)
    fleet = connect(admin, fake)
    fake.rights = {"ServiceConnect"}
    sync = begin_sync(fleet)

    for _ in range(3):
        sync()
    begin_command(fleet, "pump-1", "reboot", {})()
    raised = open_alerts(admin)
    fake.rights = {"ServiceConnect", "RegistryRead"}
    sync()

    assert fake.called == [("pump-1", "reboot", {})]
    assert len(raised) == 1
    assert "(sync)" in raised[0]
    assert open_alerts(admin) == []


def test_a_command_calls_the_method_and_waits_for_a_device_that_is_away(
    admin: Platform, fake: FakeIotHub
) -> None:
    fake.know("pump-1", online=False)
    fake.methods["pump-1", "reboot"] = lambda payload: (200, {"after": payload["delay"]})
    fleet = connect(admin, fake)
    command_id = tell(fleet, "pump-1", "reboot", {"delay": 5})

    run_tick(admin.stack, idle_seconds=0.5)
    waiting = read_command(fleet, command_id)
    fake.devices["pump-1"]["connectionState"] = "Connected"
    retry_commands(admin)
    done = read_command(fleet, command_id)

    assert (waiting["status"], "not online" in waiting["error"]) == ("pending", True)
    assert (done["status"], done["result"]) == ("confirmed", {"status": 200, "payload": {"after": 5}})
    assert fake.called == [("pump-1", "reboot", {"delay": 5})]


def test_what_is_desired_waits_in_the_twin_for_a_device_that_sleeps(
    admin: Platform, fake: FakeIotHub
) -> None:
    fake.know("pump-1", online=False)
    fleet = connect(admin, fake)
    command_id = tell(fleet, "pump-1", "settings", {"desired": {"interval": 60}})

    run_tick(admin.stack, idle_seconds=0.5)

    assert read_command(fleet, command_id)["status"] == "sent"
    assert fake.devices["pump-1"]["desired"] == {"interval": 60}


def test_the_twin_is_the_devices_state(admin: Platform, fake: FakeIotHub) -> None:
    fake.know("pump-1", reported={"fw": "1.2"})
    fleet = connect(admin, fake)
    place = f"{fleet.path}/devices/{add_known(admin, fleet.integration['id'], 'pump-1')}/state?path="

    written = admin.call("PUT", f"{place}desired/led", json={"on": True})
    refused = admin.call("PUT", f"{place}reported/fw", json="2")
    disabled = admin.call("PUT", f"{place}status", json="disabled")
    removed = admin.call("DELETE", f"{place}desired/led")

    assert written.json()["state"] == {"on": True}, written.text
    assert (refused.status_code, "device's own" in refused.json()["detail"]) == (400, True)
    assert disabled.json()["state"] == "disabled", disabled.text
    assert (removed.status_code, fake.devices["pump-1"]["desired"]) == (204, {})
    assert fake.devices["pump-1"]["status"] == "disabled"


@pytest.mark.parametrize("way", ["sync", "command"])
def test_a_key_that_is_revoked_becomes_an_alert_that_ends_with_the_next_success(
    admin: Platform, fake: FakeIotHub, way: str
) -> None:
    fake.know("pump-1")
    fake.methods["pump-1", "reboot"] = lambda _: (200, None)
    fleet = connect(admin, fake)
    key, fake.key = fake.key, "b3RoZXI="
    do = begin_sync(fleet) if way == "sync" else begin_command(fleet, "pump-1", "reboot", {})

    said = check_revoked(admin, do, lambda: setattr(fake, "key", key))

    assert key not in said
