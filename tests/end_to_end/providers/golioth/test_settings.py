"""Settings of Golioth's through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.golioth import FakeGolioth
from tests.fakes.golioth_site import REFUSED, add_device, connect_golioth
from tests.platform import Platform


@pytest.fixture
def integration(admin: Platform, fake: FakeGolioth) -> dict[str, Any]:
    return connect_golioth(admin, fake)


@pytest.fixture
def place(integration: dict[str, Any]) -> str:
    return f"/integrations/{integration['id']}/settings"


LOOP_DELAY = {"key": "LOOP_DELAY", "data_type": "integer", "value": 60}


def test_a_setting_lives_from_its_creation_to_its_removal(admin: Platform, place: str) -> None:
    created = admin.call("POST", place, json=LOOP_DELAY)
    setting = created.json()["setting"]
    changed = admin.call("PUT", f"{place}/{setting['id']}", json={"value": 30})
    listed = admin.call("GET", place).json()["settings"]
    removed = admin.call("DELETE", f"{place}/{setting['id']}")

    assert (created.status_code, changed.status_code, removed.status_code) == (201, 200, 204)
    assert LOOP_DELAY.items() <= setting.items()
    assert [(each["id"], each["value"]) for each in listed] == [(setting["id"], 30)]
    assert admin.call("GET", place).json() == {"settings": []}


def test_a_device_has_a_setting_of_its_own_by_our_id_of_it(
    admin: Platform, fake: FakeGolioth, integration: dict[str, Any], place: str
) -> None:
    device, other = (add_device(admin, integration, fake) for _ in range(2))
    admin.call("POST", place, json=LOOP_DELAY)

    created = admin.call("POST", place, json=LOOP_DELAY | {"value": 5, "device_id": device["id"]})
    listed = [
        admin.call("GET", place, params={"device_id": each["id"]}).json()["settings"]
        for each in (device, other)
    ]

    assert created.json()["setting"]["device"] == device["external_id"]
    assert [sorted(setting["value"] for setting in each) for each in listed] == [[5, 60], [60]]


@pytest.mark.parametrize(
    ("data_type", "value"),
    [("integer", -1), ("float", 1), ("float", 0.5), ("string", ""), ("boolean", False)],
)
def test_a_value_of_its_type_is_taken(admin: Platform, place: str, data_type: str, value: Any) -> None:
    reply = admin.call("POST", place, json={"key": "A_1", "data_type": data_type, "value": value})

    assert (reply.status_code, reply.json()["setting"]["value"]) == (201, value)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"value": "60"}, "value"),
        ({"value": True}, "value"),
        ({"value": 1.5}, "value"),
        ({"value": None}, "value"),
        ({"value": {}}, "value"),
        ({"data_type": "boolean"}, "value"),
        ({"data_type": "string", "value": "a\x00"}, "value"),
        ({"data_type": "text"}, "data_type"),
        ({"key": "loop_delay"}, "key"),
        ({"key": ""}, "key"),
        ({"blueprint_id": "../x"}, "blueprint_id"),
        ({"device_id": "x"}, "device_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_asked(
    admin: Platform, fake: FakeGolioth, place: str, fields: dict[str, Any], field: str
) -> None:
    reply = admin.call("POST", place, json=LOOP_DELAY | fields)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, [field])
    assert fake.calls == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [({"value": "x"}, 400, "value does not match"), ({"value": 1, "data_type": "string"}, 400, "")],
)
def test_a_changed_value_keeps_its_type(
    admin: Platform, place: str, body: dict[str, Any], status: int, words: str
) -> None:
    setting = admin.call("POST", place, json=LOOP_DELAY).json()["setting"]

    reply = admin.call("PUT", f"{place}/{setting['id']}", json=body)

    assert (reply.status_code, words in reply.json()["detail"]) == (status, True)
    assert [each["value"] for each in admin.call("GET", place).json()["settings"]] == [60]


def test_a_setting_that_is_there_is_a_conflict_and_one_that_is_not_is_not_found(
    admin: Platform, place: str
) -> None:
    admin.call("POST", place, json=LOOP_DELAY)

    again, gone = admin.call("POST", place, json=LOOP_DELAY), admin.call("DELETE", f"{place}/unknown")

    assert (again.status_code, "already exists" in again.json()["detail"]) == (409, True)
    assert (gone.status_code, "not found" in gone.json()["detail"]) == (404, True)


@pytest.mark.parametrize(("who", "status"), REFUSED)
def test_only_admins_reach_the_other_side(
    admin: Platform, fake: FakeGolioth, place: str, who: tuple[str, int], status: int
) -> None:
    caller = Platform(admin.stack, admin.stack.user(*who))

    replies = [
        caller.call("GET", place),
        caller.call("POST", place, json=LOOP_DELAY),
        caller.call("PUT", f"{place}/x", json={"value": 1}),
        caller.call("DELETE", f"{place}/x"),
    ]

    assert [reply.status_code for reply in replies] == [status] * 4
    assert fake.calls == []
