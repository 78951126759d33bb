"""Devices here and at Golioth, brought into step: imported, exported, compared, and left alone the second time."""

from __future__ import annotations

import pytest

from shared.runtime.database.client import as_service
from tests.end_to_end.fleet import Fleet, ago, open_fleet
from tests.fakes.golioth import Fault
from tests.fakes.golioth.devices import add_device, add_tags, list_writes
from tests.stack import Stack


def test_an_imported_device_has_what_golioth_knows_of_it(fleet: Fleet) -> None:
    update = {"main": {"version": "1.2.3", "target": "1.3.0", "state": "downloading", "stateCode": 1}}
    settings = {"status": "out-of-sync", "errors": [{"code": 2, "key": "LOOP_DELAY"}]}
    remote = add_device(
        fleet.fake,
        "pump-1",
        hardwareIds=["hw-1"],
        tagIds=["field"],
        cohortId="c1",
        metadata={"lastReport": ago(minutes=5), "update": update, "lastSettingsStatus": settings},
    )

    report = fleet.sync()

    device = fleet.devices()["pump-1"]
    assert (device["external_id"], device["status"], device["firmware_version"]) == (
        remote["id"],
        "online",
        "1.2.3",
    )
    assert device["metadata"] == {
        "hardware_ids": ["hw-1"],
        "tags": ["field"],
        "provider": {
            "cohort": "c1",
            "enabled": True,
            "firmware": {"main": {"version": "1.2.3", "target": "1.3.0", "state": "downloading"}},
            "settings": {"status": "out-of-sync", "errors": [{"key": "LOOP_DELAY", "code": 2}]},
        },
    }
    assert report["counts"] == {"seen": 1, "created": 1}


def test_a_device_is_online_by_its_coming_and_going_else_by_its_last_report(fleet: Fleet) -> None:
    minutes_ago: dict[str, dict[str, int]] = {
        "unknown": {},
        "online, reported": {"lastReport": 30},
        "offline, silent": {"lastReport": 90},
        "online, came": {"lastSeenOnline": 600},
        "offline, went": {"lastSeenOnline": 600, "lastSeenOffline": 5, "lastReport": 6},
        "online, came back": {"lastSeenOnline": 5, "lastSeenOffline": 600},
        "online, heard since it went": {"lastSeenOnline": 900, "lastSeenOffline": 600, "lastReport": 10},
    }
    for name, known in minutes_ago.items():
        add_device(fleet.fake, name, metadata={key: ago(minutes=minutes) for key, minutes in known.items()})

    fleet.sync()

    statuses = {name: device["status"] for name, device in fleet.devices().items()}
    assert statuses == {name: name.split(",")[0] for name in minutes_ago}


@pytest.mark.parametrize("direction", ["import", "export", "both"])
def test_a_second_run_changes_nothing_on_either_side(fleet: Fleet, direction: str) -> None:
    for number in range(3):
        add_device(
            fleet.fake,
            f"there-{number}",
            hardwareIds=[f"hw-{number}"],
            metadata={"lastReport": ago(minutes=5)},
        )
    fleet.add("here-1", "Pump here", hardware_ids=["hw-9"])
    fleet.sync(direction=direction)
    before, writes = fleet.snapshot(), list_writes(fleet.fake)

    report = fleet.sync(direction=direction)

    assert fleet.snapshot() == before
    assert list_writes(fleet.fake) == writes
    assert set(report["counts"]) <= {"seen", "unchanged", "skipped"}
    assert report["changes"] == []


def test_only_devices_that_changed_are_written_again(fleet: Fleet) -> None:
    devices = [add_device(fleet.fake, f"pump-{number}") for number in range(5)]
    fleet.sync()
    devices[2]["metadata"] = {"lastReport": ago(minutes=1), "update": {"main": {"version": "2.0.0"}}}

    report = fleet.sync()

    assert report["counts"] == {"seen": 5, "updated": 1, "unchanged": 4}
    assert fleet.devices()["pump-2"]["firmware_version"] == "2.0.0"


def test_devices_are_matched_by_id_then_hardware_id_then_serial_number(fleet: Fleet) -> None:
    remotes = [add_device(fleet.fake, f"pump-{number}", hardwareIds=[f"hw-{number}"]) for number in range(3)]
    ids = [
        fleet.add(remotes[0]["id"]),
        fleet.add("made-by-hand", "pump-1", hardware_ids=["other", "hw-1"]),
        fleet.add("serial", "pump-2", serial_number="hw-2"),
    ]

    report = fleet.sync()

    devices = fleet.devices()
    assert [devices[f"pump-{number}"]["id"] for number in range(3)] == ids
    assert [devices[f"pump-{number}"]["external_id"] for number in range(3)] == [
        each["id"] for each in remotes
    ]
    assert devices["pump-1"]["metadata"]["hardware_ids"] == ["other", "hw-1"]
    assert report["counts"] == {"seen": 3, "linked": 3}


def test_what_a_deleted_integration_left_behind_is_taken_up_again(fleet: Fleet) -> None:
    add_device(fleet.fake, "pump-1", hardwareIds=["hw-1"])
    fleet.sync()
    device_id = fleet.devices()["pump-1"]["id"]
    fleet.admin.call("DELETE", fleet.path)
    config = {"base_url": fleet.fake.url, "api_key": fleet.fake.api_key, "project_id": fleet.fake.project_id}
    again = Fleet(fleet.admin, fleet.fake, fleet.admin.create("golioth", config))

    again.sync()

    assert again.devices()["pump-1"]["id"] == device_id


def test_what_changed_on_one_side_only_is_carried_to_the_other(fleet: Fleet) -> None:
    there, here = add_device(fleet.fake, "a", tagIds=["old"]), add_device(fleet.fake, "b", tagIds=["old"])
    add_tags(fleet.fake, ["new"])
    fleet.sync(direction="both")
    there |= {"name": "a there", "tagIds": ["new"]}
    fleet.rename("b", "b here", tags=["new"])

    report = fleet.sync(direction="both")

    assert fleet.devices()["a there"]["metadata"]["tags"] == ["new"]
    assert (here["name"], here["tagIds"]) == ("b here", ["new"])
    assert (report["counts"]["updated"], report["counts"]["exported"]) == (1, 1)
    assert fleet.conflicts() == []


def test_an_import_leaves_alone_what_only_changed_here(fleet: Fleet) -> None:
    remote = add_device(fleet.fake, "a")
    fleet.sync()
    fleet.rename("a", "a here")

    fleet.sync()

    assert list(fleet.devices()) == ["a here"]
    assert remote["name"] == "a"
    assert fleet.conflicts() == []


def test_a_device_made_here_is_created_there_once_and_its_messages_find_it(fleet: Fleet) -> None:
    device_id = fleet.add("my-pump", "Pump 1", hardware_ids=["hw-1"])

    report = fleet.sync(direction="export")
    fleet.sync(direction="both")

    (remote,) = fleet.fake.store["devices"].values()
    assert (remote["name"], remote["hardwareIds"]) == ("Pump 1", ["hw-1"])
    assert report["counts"] == {"created_there": 1}
    message = {"event_id": "1", "device": remote["id"], "kind": "telemetry", "payload": {"t": 1}}
    as_service().call("ingest_messages", p_integration_id=fleet.integration["id"], p_messages=[message])
    (stored,) = fleet.admin.rows(
        "device_messages", integration_id=f"eq.{fleet.integration['id']}", select="device_id"
    )
    assert stored["device_id"] == device_id
    assert len(fleet.devices()) == 1


@pytest.mark.parametrize("hardware_ids", [["hw-1"], []])
@pytest.mark.parametrize("direction", ["export", "both"])
def test_a_creation_whose_answer_got_lost_is_not_done_twice(
    fleet: Fleet, direction: str, hardware_ids: list[str]
) -> None:
    device_id = fleet.add("my-pump", "Pump 1", hardware_ids=hardware_ids)
    fleet.fake.faults.append(Fault("POST", times=1, close="after"))
    job = fleet.begin(direction=direction)

    fleet.work()
    failed = fleet.read(job["id"])
    fleet.work()
    fleet.sync(direction="both")

    assert (failed["status"], "closed the connection" in failed["error"]) == ("pending", True)
    assert fleet.read(job["id"])["status"] == "done"
    (remote,) = fleet.fake.store["devices"].values()
    assert {row["external_id"]: row["id"] for row in fleet.devices().values()} == {remote["id"]: device_id}
    assert len([call for call in list_writes(fleet.fake) if call.startswith("POST")]) == 1


def test_what_a_device_said_before_its_id_was_known_stays_with_it(fleet: Fleet) -> None:
    device_id = fleet.add("my-pump", "Pump 1", hardware_ids=["hw-1"])
    fleet.fake.faults.append(Fault("POST", times=1, close="after"))
    fleet.begin(direction="export")
    fleet.work()
    (remote,) = fleet.fake.store["devices"].values()
    message = {"event_id": "1", "device": remote["id"], "kind": "telemetry", "payload": {"t": 1}}
    as_service().call("ingest_messages", p_integration_id=fleet.integration["id"], p_messages=[message])

    fleet.work()

    (device,) = fleet.devices().values()
    assert (device["id"], device["external_id"]) == (device_id, remote["id"])
    (stored,) = fleet.admin.rows(
        "device_messages", integration_id=f"eq.{fleet.integration['id']}", select="device_id"
    )
    assert stored["device_id"] == device_id


def test_a_device_that_golioth_does_not_take_stops_no_other(fleet: Fleet) -> None:
    fleet.add("1", "Pump 1", tags=["unknown-tag"])
    fleet.add("2", "Pump 2")

    report = fleet.sync(direction="export")

    assert report["counts"] == {"created_there": 1, "refused": 1}
    (refused,) = (change for change in report["changes"] if change["action"] == "refused")
    assert "unknown tags: unknown-tag" in refused["error"]


def test_a_device_deleted_there_is_marked_and_stays_until_it_is_back(fleet: Fleet) -> None:
    remote = add_device(fleet.fake, "a", metadata={"lastReport": ago(minutes=1)})
    add_device(fleet.fake, "b")
    fleet.sync()
    del fleet.fake.store["devices"][remote["id"]]

    report = fleet.sync()
    marked = fleet.devices()["a"]
    again = fleet.sync()
    fleet.fake.store["devices"][remote["id"]] = remote
    fleet.sync()

    assert report["counts"] == {"seen": 1, "unchanged": 1, "missing": 1}
    assert again["changes"] == []
    assert (marked["status"], "missing_since" in marked["metadata"]["provider"]) == ("unknown", True)
    assert fleet.devices()["a"]["status"] == "online"
    assert "missing_since" not in fleet.devices()["a"]["metadata"]["provider"]


def test_devices_with_one_of_the_tags_come_once_and_others_not(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_fleet(stack, monkeypatch, sync_tags=["x", "y"]) as fleet:
        for name, tags in {"a": ["x"], "b": ["y"], "both": ["x", "y"], "none": []}.items():
            add_device(fleet.fake, name, tagIds=tags)
        report = fleet.sync()
        moved = next(each for each in fleet.fake.store["devices"].values() if each["name"] == "a")
        moved["tagIds"] = []

        reports = [fleet.sync(), fleet.sync()]

        assert report["counts"] == {"seen": 3, "created": 3}
        assert set(fleet.devices()) == {"a", "b", "both"}
        assert [each["counts"].get("out_of_scope", 0) for each in reports] == [1, 0]
        assert "missing_since" not in fleet.devices()["a"]["metadata"]["provider"]
