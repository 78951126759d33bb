"""Devices of The Things Stack and ours in step: imported, exported, made with keys that are shown once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.clouds import check_large_sync, connect_fleet
from tests.fakes.lorawan.tts import FakeTts
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")

PLAN = {"frequency_plan_id": "EU_863_870_TTN", "join_eui": "70b3d57ed0000001"}
EUI = "70B3D57ED0001234"


@pytest.fixture
def fake() -> Iterator[FakeTts]:
    with FakeTts(f"a-{uuid.uuid4().hex[:20]}") as started:
        yield started


def connect(admin: Platform, fake: FakeTts, **config: Any) -> Fleet:
    named = {"application_id": fake.application, "api_key": fake.key, "base_url": fake.url} | PLAN
    return connect_fleet(admin, fake, "lorawan_tts", named | config)


def know(fake: FakeTts, name: str, **fields: Any) -> None:
    ids = {"device_id": name, "dev_eui": f"{len(fake.devices):016X}", "join_eui": "0" * 16}
    fake.devices[name] = {"ids": ids, "name": f"Room {name}"} | fields


def test_devices_are_imported_with_their_tags_and_attributes(admin: Platform, fake: FakeTts) -> None:
    version = {"brand_id": "dragino", "model_id": "lht65", "firmware_version": "1.8"}
    know(fake, "room-1", attributes={"tags": "floor-2,east", "owner": "ann"}, version_ids=version)
    know(fake, "room-2", last_seen_at="2026-11-28T10:20:30.123456789Z")
    fleet = connect(admin, fake)

    report = fleet.sync()

    devices = fleet.devices()
    first, second = devices["Room room-1"], devices["Room room-2"]
    assert report["counts"]["created"] == 2
    assert (first["external_id"], first["firmware_version"]) == ("room-1", "1.8")
    assert first["metadata"]["tags"] == ["east", "floor-2"]
    assert first["metadata"]["provider"]["attributes"] == {"owner": "ann", "model": "dragino/lht65"}
    assert first["metadata"]["hardware_ids"] == [f"{0:016X}"]
    assert second["last_seen_at"].startswith("2026-11-28T10:20:30")


def test_what_changes_here_is_told_there_and_other_attributes_stay(admin: Platform, fake: FakeTts) -> None:
    know(fake, "room-1", attributes={"tags": "floor-2", "owner": "ann"})
    fleet = connect(admin, fake, sync_direction="both")
    fleet.sync()

    fleet.rename("Room room-1", "Lobby", tags=["floor-3", "new"])
    report = fleet.sync()

    assert report["counts"]["exported"] == 1
    assert fake.devices["room-1"]["name"] == "Lobby"
    assert fake.devices["room-1"]["attributes"] == {"tags": "floor-3,new", "owner": "ann"}


def test_devices_that_only_are_here_are_made_there_where_they_have_an_eui(
    admin: Platform, fake: FakeTts
) -> None:
    fleet = connect(admin, fake, sync_direction="export")
    fleet.add("a", "With", hardware_ids=[EUI])
    fleet.add("b", "Without")

    report = fleet.sync()

    made = f"eui-{EUI.lower()}"
    assert report["counts"]["created_there"] == 1
    (refused,) = [change for change in report["changes"] if change["action"] == "refused"]
    assert "DevEUI" in refused["error"]
    assert fake.devices[made]["ids"]["join_eui"] == PLAN["join_eui"].upper()
    assert fake.network[made]["frequency_plan_id"] == "EU_863_870_TTN"
    assert (fake.network[made]["supports_join"], made in fake.served) == (True, True)


def make_device(fleet: Fleet, **body: Any) -> Any:
    return fleet.admin.call(
        "POST", f"{fleet.path}/devices", json={"hardware_ids": [EUI], "name": "Lobby"} | body
    )


def test_a_device_is_made_with_a_key_that_is_shown_once_and_kept_by_the_join_server(
    admin: Platform, fake: FakeTts
) -> None:
    fleet = connect(admin, fake, sync_direction="off")

    reply = make_device(fleet, tags=["floor-2"])

    assert reply.status_code == 201, reply.text
    told = reply.json()
    key = told["credentials"]["pre_shared_key"]
    made = f"eui-{EUI.lower()}"
    assert told["device"]["external_id"] == made
    assert told["credentials"]["identity"] == PLAN["join_eui"].upper()
    assert fake.joins[made]["root_keys"]["app_key"]["key"] == key.upper()
    assert fake.joins[made]["ids"]["dev_eui"] == EUI
    assert fake.devices[made]["attributes"] == {"tags": "floor-2"}
    with admin.stack.connect() as connection:
        kept = connection.execute("select json_agg(p)::text from device_provisionings p").fetchone()
    assert kept
    assert key not in kept[0]


def test_a_device_that_is_there_or_can_not_be_made_is_refused(admin: Platform, fake: FakeTts) -> None:
    fleet = connect(admin, fake, sync_direction="off")
    assert make_device(fleet).status_code == 201

    again = make_device(fleet)
    without = make_device(fleet, hardware_ids=["x"])
    certified = make_device(fleet, hardware_ids=["1" * 16], credentials="certificate")

    assert again.status_code == 409
    assert "DevEUI" in without.json()["detail"]
    assert "AppKey" in certified.json()["detail"]


def test_a_right_that_is_missing_half_way_undoes_what_was_made(admin: Platform, fake: FakeTts) -> None:
    fleet = connect(admin, fake, sync_direction="off")
    fake.missing = {"ns"}

    reply = make_device(fleet)

    assert reply.status_code >= 400
    assert "RIGHT_APPLICATION_DEVICES_WRITE_KEYS" in reply.json()["detail"]
    assert fake.devices == {}


def test_a_list_that_begins_again_ends_the_sync(admin: Platform, fake: FakeTts) -> None:
    for number in range(100):
        know(fake, f"dev-{number}")
    fake.has_one_page = True
    fleet = connect(admin, fake)
    job_id = fleet.begin()["id"]

    fleet.work(30)

    assert "same page" in (fleet.read(job_id)["error"] or "")
    assert fake.asked.count(("GET", f"/applications/{fake.application}/devices")) == 2


def test_ten_thousand_devices_sync_in_bounded_memory_and_a_second_run_changes_nothing(
    admin: Platform, fake: FakeTts
) -> None:
    for number in range(10_000):
        know(fake, f"dev-{number}", attributes={"tags": "t"})

    check_large_sync(connect(admin, fake))
