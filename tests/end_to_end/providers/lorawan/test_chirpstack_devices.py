"""Devices of ChirpStack and ours in step: imported, exported, made with keys that are shown once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.runtime.database.client import as_service
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.clouds import check_large_sync, connect_fleet
from tests.fakes.lorawan.chirpstack import FakeChirpstack, RefusedError
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")

HOW = {"device_profile_id": "14855bf7-d10d-4aee-b618-ebfcb64dc7ad", "join_eui": "70b3d57ed0000001"}
EUI = "70B3D57ED0001234"
ROOM = "0102030405060701"


@pytest.fixture
def fake() -> Iterator[FakeChirpstack]:
    with FakeChirpstack(str(uuid.uuid4())) as started:
        yield started


def connect(admin: Platform, fake: FakeChirpstack, **config: Any) -> Fleet:
    named = {"application_id": fake.application, "api_key": fake.key, "base_url": fake.url} | HOW
    return connect_fleet(admin, fake, "lorawan_chirpstack", named | config)


def tag(**values: str) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in values.items()]


def read_tags(device: Any) -> dict[str, str]:
    return {each.key: each.value for each in device.tags}


def test_devices_are_imported_with_their_tags(admin: Platform, fake: FakeChirpstack) -> None:
    fake.know(ROOM, "Lobby", tags=tag(floor="2", east=""), description="north\x00wall")
    fake.know(EUI.lower(), "Hall")
    fake.seen[EUI.lower()] = datetime(2026, 11, 28, 10, 20, 30, tzinfo=UTC)
    fleet = connect(admin, fake)

    report = fleet.sync()

    devices = fleet.devices()
    assert report["counts"]["created"] == 2
    assert (devices["Lobby"]["external_id"], devices["Hall"]["external_id"]) == (ROOM, EUI.lower())
    assert devices["Lobby"]["metadata"]["tags"] == ["east", "floor=2"]
    assert devices["Lobby"]["metadata"]["provider"]["attributes"] == {"description": "northwall"}
    assert devices["Hall"]["metadata"]["hardware_ids"] == [EUI]
    assert devices["Hall"]["last_seen_at"].startswith("2026-11-28T10:20:30")


def test_what_changes_here_is_told_there_and_all_else_stays(admin: Platform, fake: FakeChirpstack) -> None:
    fake.know(ROOM, "Lobby", tags=tag(floor="2", owner="ann"), variables=tag(secret="7"), is_disabled=True)
    fleet = connect(admin, fake, sync_direction="both")
    fleet.sync()

    fleet.rename("Lobby", "Hall", tags=["floor=3", "owner=ann", "new"])
    report = fleet.sync()

    told = fake.devices[ROOM]
    assert report["counts"]["exported"] == 1
    assert (told.name, read_tags(told)) == ("Hall", {"floor": "3", "owner": "ann", "new": ""})
    assert (told.is_disabled, told.variables[0].value) == (True, "7")


def test_a_tag_that_has_a_value_already_refuses_that_device_alone(
    admin: Platform, fake: FakeChirpstack
) -> None:
    fake.know(ROOM, "Lobby", tags=tag(floor="2"))
    fake.know(EUI.lower(), "Hall")
    fleet = connect(admin, fake, sync_direction="both")
    fleet.sync()

    fleet.rename("Lobby", "Lobby", tags=["floor=2", "floor=3"])
    fleet.rename("Hall", "Great hall")
    report = fleet.sync()

    (refused,) = [change for change in report["changes"] if change["action"] == "refused"]
    assert "'floor'" in refused["error"]
    assert read_tags(fake.devices[ROOM]) == {"floor": "2"}
    assert fake.devices[EUI.lower()].name == "Great hall"


def test_devices_that_only_are_here_are_made_there_where_they_have_an_eui(
    admin: Platform, fake: FakeChirpstack
) -> None:
    fleet = connect(admin, fake, sync_direction="export")
    fleet.add("a", "With", hardware_ids=[EUI], tags=["floor=2"])
    fleet.add("b", "Without")

    report = fleet.sync()

    made = fake.devices[EUI.lower()]
    assert report["counts"]["created_there"] == 1
    (refused,) = [change for change in report["changes"] if change["action"] == "refused"]
    assert "DevEUI" in refused["error"]
    assert (made.name, made.join_eui, made.device_profile_id) == (
        "With",
        HOW["join_eui"],
        HOW["device_profile_id"],
    )
    assert read_tags(made) == {"floor": "2"}


@pytest.mark.parametrize("is_admin", [True, False])
def test_one_that_is_gone_there_is_missing_and_a_key_that_is_refused_marks_nothing(
    admin: Platform,
    fake: FakeChirpstack,
    is_admin: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fake.is_admin = is_admin
    fake.know(ROOM, "Lobby")
    fake.know(EUI.lower(), "Hall")
    fleet = connect(admin, fake)
    fleet.sync()

    del fake.devices[EUI.lower()]
    fake.refusals = [RefusedError(16)]
    job = fleet.begin()["id"]
    fleet.work()
    failed = fleet.read(job)
    before = count_missing(fleet)
    fleet.work()

    assert failed["status"] != "done"
    assert "read-only" in failed["error"]
    assert before == 0
    assert fleet.read(job)["report"]["counts"]["missing"] == 1
    assert count_missing(fleet) == 1


def count_missing(fleet: Fleet) -> int:
    with fleet.admin.stack.connect() as connection:
        row = connection.execute(
            "select count(*) from device_links where integration_id = %s and status = 'missing'",
            (fleet.integration["id"],),
        ).fetchone()
    assert row
    return int(row[0])


def make_device(fleet: Fleet, **body: Any) -> Any:
    return fleet.admin.call(
        "POST", f"{fleet.path}/devices", json={"hardware_ids": [EUI], "name": "Lobby"} | body
    )


def test_a_device_is_made_with_a_key_that_is_shown_once(admin: Platform, fake: FakeChirpstack) -> None:
    fleet = connect(admin, fake, sync_direction="off")

    reply = make_device(fleet, tags=["floor=2"])

    assert reply.status_code == 201, reply.text
    told = reply.json()
    key = told["credentials"]["pre_shared_key"]
    assert told["device"]["external_id"] == EUI.lower()
    assert told["credentials"]["identity"] == HOW["join_eui"].upper()
    assert fake.keys[EUI.lower()].nwk_key == key.lower()
    assert read_tags(fake.devices[EUI.lower()]) == {"floor": "2"}
    with admin.stack.connect() as connection:
        kept = connection.execute("select json_agg(p)::text from device_provisionings p").fetchone()
    assert kept
    assert key not in kept[0]


def test_a_device_that_is_there_or_can_not_be_made_is_refused(admin: Platform, fake: FakeChirpstack) -> None:
    fleet = connect(admin, fake, sync_direction="off")
    assert make_device(fleet).status_code == 201

    again = make_device(fleet)
    without = make_device(fleet, hardware_ids=["x"])
    certified = make_device(fleet, hardware_ids=["1" * 16], credentials="certificate")

    assert again.status_code == 409
    assert "DevEUI" in without.json()["detail"]
    assert "AppKey" in certified.json()["detail"]


def test_without_a_device_profile_none_is_made(admin: Platform, fake: FakeChirpstack) -> None:
    fleet = connect(admin, fake, sync_direction="off", device_profile_id=None)

    reply = make_device(fleet)

    assert reply.status_code >= 400
    assert "device_profile_id" in reply.json()["detail"]
    assert fake.devices == {}


def test_a_lost_answer_makes_no_second_device(admin: Platform, fake: FakeChirpstack) -> None:
    fleet = connect(admin, fake, sync_direction="off")
    fake.lost = 1

    begun = make_device(fleet)
    with admin.stack.connect() as connection:
        connection.execute("update device_provisionings set due_at = now()")
    as_service().call("plan_provisionings")
    fleet.work()

    assert begun.status_code in {202, 502, 503}, begun.text
    assert fake.asked.count("Create") == 1
    assert list(fake.devices) == [EUI.lower()]
    assert fake.keys[EUI.lower()].nwk_key
    assert fleet.devices()["Lobby"]["external_id"] == EUI.lower()


def test_a_sync_without_an_api_is_refused_at_its_field(admin: Platform) -> None:
    config = {"application_id": str(uuid.uuid4()), "sync_direction": "both"}
    named = {"organization_id": admin.user.organization_id, "integration_type": "lorawan_chirpstack"}

    reply = admin.call("POST", "/integrations", json=named | {"name": "x", "config": config})

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["api_key"]


def test_ten_thousand_devices_sync_in_bounded_memory_and_a_second_run_changes_nothing(
    admin: Platform, fake: FakeChirpstack
) -> None:
    for number in range(10_000):
        fake.know(f"{number:016x}", f"dev {number % 100}", tags=tag(t=""))

    check_large_sync(connect(admin, fake))
