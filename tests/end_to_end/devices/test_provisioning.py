"""A device made here is created at Golioth with its credentials, whole or not at all, whatever is cut off."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.jobs.kinds import find_kind
from shared.runtime.database.client import as_service
from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import Fault
from tests.fakes.golioth.devices import add_device, list_writes
from tests.platform import Platform

PUMP = {"name": "Pump 1", "hardware_ids": ["hw-1"]}


def provision(
    fleet: Fleet, body: dict[str, Any] | None = None, caller: Platform | None = None
) -> httpx.Response:
    return (caller or fleet.admin).call("POST", f"{fleet.path}/devices", json=PUMP if body is None else body)


def finish_pending(fleet: Fleet) -> None:
    """What the scheduler does once the time of the call that began it is over."""
    with fleet.admin.stack.connect() as connection:
        connection.execute("update device_provisionings set due_at = now() where status = 'pending'")
    plan = find_kind("provision").plan
    assert plan
    as_service().call(plan)
    fleet.work()


def read_provisionings(fleet: Fleet) -> list[tuple[str, str | None]]:
    rows = fleet.admin.rows("device_provisionings", select="status,error", order="created_at")
    return [(row["status"], row["error"]) for row in rows]


def list_keys(fleet: Fleet) -> list[tuple[str, str, str]]:
    """Every key at Golioth: of which device, under which identity, and the key."""
    return [
        (fleet.fake.store["devices"][device]["name"], each["identity"], each["preSharedKey"])
        for device, credentials in fleet.fake.store["credentials"].items()
        for each in credentials
    ]


def test_a_device_is_there_on_both_sides_with_the_key_that_was_shown(fleet: Fleet) -> None:
    reply = provision(fleet, PUMP | {"serial_number": "s-1"})

    assert reply.status_code == 201, reply.text
    device, credentials = reply.json()["device"], reply.json()["credentials"]
    (remote,) = fleet.fake.store["devices"].values()
    assert (device["external_id"], device["name"]) == (remote["id"], remote["name"])
    assert (device["metadata"]["hardware_ids"], device["metadata"]["serial_number"]) == (["hw-1"], "s-1")
    assert credentials["identity"] == f"Pump-1@{fleet.fake.project_id}"
    assert list_keys(fleet) == [("Pump 1", credentials["identity"], credentials["pre_shared_key"])]
    assert read_provisionings(fleet) == [("done", None)]
    assert fleet.sync(direction="both")["changes"] == []


def test_the_key_is_sealed_here_and_shown_to_nobody_again(fleet: Fleet) -> None:
    key = provision(fleet).json()["credentials"]["pre_shared_key"]

    with fleet.admin.stack.connect() as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'private')"
        ).fetchall()
        rows = [
            str(row) for (table,) in tables for row in connection.execute(f"select t::text from {table} t")
        ]
    logs = [file.read_text() for file in (fleet.admin.stack.functions_env.parent / "logs").glob("*.log")]
    assert not [text for text in (*rows, *logs) if key in text]
    assert "sealed" not in fleet.admin.rows("device_provisionings", select="id,identity,status")[0]


@pytest.mark.parametrize("pattern", ["POST .*/devices$", "POST .*/credentials$"])
def test_a_lost_answer_is_told_as_such_and_completed_with_the_key_that_was_shown(
    fleet: Fleet, pattern: str
) -> None:
    fleet.fake.faults.append(Fault(pattern, times=1, close="after"))

    reply = provision(fleet)
    told = reply.json()
    finish_pending(fleet)

    assert (reply.status_code, told["provisioning"]["status"]) == (202, "pending")
    assert list_keys(fleet) == [
        ("Pump 1", told["credentials"]["identity"], told["credentials"]["pre_shared_key"])
    ]
    assert read_provisionings(fleet) == [("done", None)]
    (remote,) = fleet.fake.store["devices"].values()
    assert [(row["id"], row["external_id"]) for row in fleet.devices().values()] == [
        (told["device"]["id"], remote["id"])
    ]
    assert len([call for call in list_writes(fleet.fake) if call.endswith("/devices")]) == 1


def test_a_sync_in_between_makes_no_second_device(fleet: Fleet) -> None:
    fleet.fake.faults.append(Fault("POST .*/devices$", times=1, close="after"))
    provision(fleet, {"name": "Pump 1"})

    fleet.sync(direction="both")
    finish_pending(fleet)

    assert len(fleet.devices()) == len(fleet.fake.store["devices"]) == len(list_keys(fleet)) == 1
    assert read_provisionings(fleet) == [("done", None)]


def test_what_golioth_refuses_leaves_nothing_on_either_side(fleet: Fleet) -> None:
    reply = provision(fleet, PUMP | {"tags": ["unknown-tag"]})

    assert (reply.status_code, reply.json()["code"]) == (502, "provider_refused")
    assert "unknown tags: unknown-tag" in reply.json()["detail"]
    assert (fleet.devices(), fleet.fake.store["devices"]) == ({}, {})
    assert [status for status, _ in read_provisionings(fleet)] == ["failed"]


def test_a_device_that_can_not_get_its_key_is_taken_back(fleet: Fleet) -> None:
    other = add_device(fleet.fake, "other")
    taken = {"identity": f"Pump-1@{fleet.fake.project_id}", "preSharedKey": "x", "id": "1"}
    fleet.fake.store["credentials"][other["id"]] = [taken]

    reply = provision(fleet)

    assert (reply.status_code, "identity already exists" in reply.json()["detail"]) == (502, True)
    assert list(fleet.fake.store["devices"].values()) == [other]
    assert fleet.devices() == {}


def test_golioth_away_before_anything_was_begun_leaves_nothing(fleet: Fleet) -> None:
    fleet.fake.faults.append(Fault("GET", times=9, close="before"))

    reply = provision(fleet)

    assert reply.status_code == 502
    assert (fleet.devices(), read_provisionings(fleet), list_writes(fleet.fake)) == ({}, [], [])


def test_golioth_away_for_long_says_why_and_is_tried_until_it_is_back(fleet: Fleet) -> None:
    fleet.fake.faults.append(Fault("POST .*/devices$", times=1, close="before"))
    provision(fleet)
    fleet.fake.faults.append(Fault("GET", times=1, close="before"))

    finish_pending(fleet)
    told = read_provisionings(fleet)
    finish_pending(fleet)

    assert [(status, "closed the connection" in str(error)) for status, error in told] == [("pending", True)]
    assert read_provisionings(fleet) == [("done", None)]
    assert len(list_keys(fleet)) == 1


@pytest.mark.parametrize("taken", [{"name": "Pump 1"}, {"name": "Other", "hardwareIds": ["hw-1"]}])
def test_a_device_that_is_there_already_is_a_conflict(fleet: Fleet, taken: dict[str, Any]) -> None:
    add_device(fleet.fake, **taken)

    reply = provision(fleet, PUMP)

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert (fleet.devices(), read_provisionings(fleet)) == ({}, [])


def test_a_device_that_is_here_already_is_created_there(fleet: Fleet) -> None:
    device_id = fleet.add("my-pump", "Pump 1", hardware_ids=["hw-1"])

    reply = provision(fleet, {"device_id": device_id, "credentials": "none"})

    (remote,) = fleet.fake.store["devices"].values()
    device = reply.json()["device"]
    assert (reply.status_code, reply.json()["credentials"]) == (201, None)
    assert (device["id"], device["external_id"], remote["hardwareIds"]) == (device_id, remote["id"], ["hw-1"])
    assert provision(fleet, {"device_id": device_id}).status_code == 409


def test_a_device_here_is_not_created_twice_with_one_hardware_id(fleet: Fleet) -> None:
    fleet.add("my-pump", "Pump here", hardware_ids=["hw-1"])

    reply = provision(fleet)

    assert (reply.status_code, "device_id" in reply.json()["detail"]) == (409, True)
    assert list_writes(fleet.fake) == []


def test_a_device_with_a_certificate_is_told_its_subject_and_its_authority_registered_once(
    fleet: Fleet,
) -> None:
    authority = "-----BEGIN CERTIFICATE-----\nMIIBxjCCAW0=\n-----END CERTIFICATE-----\n"
    bodies = [
        {"name": name, "credentials": "certificate", "ca_certificate": authority} for name in ("p-1", "p-2")
    ]

    replies = [provision(fleet, body) for body in bodies]

    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].json()["credentials"] == {
        "type": "certificate",
        "organization": fleet.fake.project_id,
        "common_name": "p-1",
    }
    assert len(fleet.fake.store["certificates"]) == 1
    assert list_keys(fleet) == []


@pytest.mark.parametrize(
    ("role", "organization", "status"), [("member", 0, 403), ("owner", 1, 404), ("stranger", 0, 404)]
)
def test_only_admins_provision(fleet: Fleet, role: str, organization: int, status: int) -> None:
    caller = Platform(fleet.admin.stack, fleet.admin.stack.user(role, organization))

    reply = provision(fleet, caller=caller)

    assert reply.status_code == status
    assert fleet.fake.calls == []


def test_a_type_without_devices_has_none_to_provision(fleet: Fleet) -> None:
    broker = fleet.admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1:9", "topics": "a"})

    reply = fleet.admin.call("POST", f"/integrations/{broker['id']}/devices", json=PUMP)

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")


def test_a_wrong_field_is_named(fleet: Fleet) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "": {},
        "credentials": PUMP | {"credentials": "password"},
        "hardware_ids.0": PUMP | {"hardware_ids": [""]},
        "surprise": PUMP | {"surprise": 1},
    }

    replies = {field: provision(fleet, body) for field, body in wrong.items()}

    assert {reply.status_code for reply in replies.values()} == {400}
    assert {field: reply.json()["errors"][0]["field"] for field, reply in replies.items()} == {
        field: field for field in wrong
    }
