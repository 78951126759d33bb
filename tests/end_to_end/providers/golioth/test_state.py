"""LightDB State through the API: read, and what is wanted of a device written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth_site import REFUSED, add_device, connect_golioth
from tests.platform import Platform


def place_device(admin: Platform, fake: FakeGolioth, **state: Any) -> str:
    """The path of the state of a new device."""
    integration = connect_golioth(admin, fake)
    device = add_device(admin, integration, fake, **state)
    return f"/integrations/{integration['id']}/devices/{device['id']}/state"


@pytest.mark.parametrize(
    ("path", "shown", "state"),
    [
        (None, "", {"desired": {"led": {"on": True}}, "température": 21.5}),
        ("desired/led", "desired/led", {"on": True}),
        ("/desired/led/on/", "desired/led/on", True),
        ("température", "température", 21.5),
        ("nothing/here", "nothing/here", None),
    ],
)
def test_the_state_is_read_by_its_path(
    admin: Platform, fake: FakeGolioth, path: str | None, shown: str, state: Any
) -> None:
    place = place_device(admin, fake, desired={"led": {"on": True}}, température=21.5)

    reply = admin.call("GET", place, params={"path": path} if path else {})

    assert (reply.status_code, reply.json()) == (200, {"path": shown, "state": state})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_is_wanted_is_merged_into_what_is_there(admin: Platform, fake: FakeGolioth, method: str) -> None:
    place = place_device(admin, fake, desired={"led": {"on": True}}, state={"led": {"on": True}})

    reply = admin.call(method, place, params={"path": "desired/led"}, json={"colour": "red"})

    assert (reply.status_code, reply.json()["state"]) == (200, {"on": True, "colour": "red"})
    (state,) = fake.store["state"].values()
    assert state == {"desired": {"led": {"on": True, "colour": "red"}}, "state": {"led": {"on": True}}}


@pytest.mark.parametrize("value", [0, False, "", 21.5, {}, {"deep": {"er": [1, 2]}}])
def test_any_value_can_be_wanted(admin: Platform, fake: FakeGolioth, value: Any) -> None:
    place = place_device(admin, fake)

    reply = admin.call("PUT", place, params={"path": "desired"}, json=value)

    assert reply.status_code == 200
    (state,) = fake.store["state"].values()
    assert state["desired"] == (
        {"deep": {"er": {"0": 1, "1": 2}}} if value and isinstance(value, dict) else value
    )


def test_what_is_wanted_no_more_is_removed(admin: Platform, fake: FakeGolioth) -> None:
    place = place_device(admin, fake, desired={"led": True, "fan": 3})

    reply = admin.call("DELETE", place, params={"path": "desired/fan"})

    assert reply.status_code == 204
    assert [*fake.store["state"].values()] == [{"desired": {"led": True}}]


def test_a_name_stays_in_its_place_whatever_is_in_it(admin: Platform, fake: FakeGolioth) -> None:
    place = place_device(admin, fake)

    reply = admin.call("PUT", place, params={"path": "desired/a b?x=1#%2F&c"}, json=1)

    assert reply.status_code == 200
    assert [*fake.store["state"].values()] == [{"desired": {"a b?x=1#%2F&c": 1}}]


@pytest.mark.parametrize("path", ["a//b", "../credentials", "a/../../b", "./a", "a\nb", "x" * 513, "a\x00"])
def test_a_path_that_leads_elsewhere_is_refused_and_not_asked_for(
    admin: Platform, fake: FakeGolioth, path: str
) -> None:
    place = place_device(admin, fake)

    reply = admin.call("GET", place, params={"path": path})

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, ["path"])
    assert fake.calls == []


JSON = {"Content-Type": "application/json"}
WRONG_WRITES = {
    "the whole state": ("PUT", {"json": {}}, 400),
    "all of it removed": ("DELETE", {}, 400),
    "null": ("PUT", {"params": {"path": "a"}, "content": b"null", "headers": JSON}, 400),
    "not JSON": ("PUT", {"params": {"path": "a"}, "content": b"{", "headers": JSON}, 400),
    "no JSON by its own word": ("PUT", {"params": {"path": "a"}, "content": b"1"}, 415),
    "too much": ("PATCH", {"params": {"path": "a"}, "json": "x" * 1_048_576}, 413),
}


@pytest.mark.parametrize("name", WRONG_WRITES)
def test_a_wrong_write_is_refused_and_nothing_is_asked(admin: Platform, fake: FakeGolioth, name: str) -> None:
    method, request, status = WRONG_WRITES[name]
    place = place_device(admin, fake)

    reply = admin.call(method, place, **request)  # type: ignore[arg-type] # whatever httpx takes

    assert reply.status_code == status
    assert fake.calls == []


@pytest.mark.parametrize(("who", "status"), REFUSED)
def test_only_admins_reach_the_other_side(
    admin: Platform, fake: FakeGolioth, who: tuple[str, int], status: int
) -> None:
    place = place_device(admin, fake, desired={"led": True})
    caller = Platform(admin.stack, admin.stack.user(*who))

    replies = [
        caller.call(method, place, params={"path": "desired"}, **({"json": 1} if method[0] == "P" else {}))
        for method in ("GET", "PUT", "PATCH", "DELETE")
    ]

    assert [reply.status_code for reply in replies] == [status] * 4
    assert fake.calls == []


def test_a_device_of_another_integration_is_not_found(admin: Platform, fake: FakeGolioth) -> None:
    place, other = place_device(admin, fake), connect_golioth(admin, fake)

    reply = admin.call("GET", f"/integrations/{other['id']}/devices/{place.split('/')[4]}/state")

    assert reply.status_code == 404
    assert fake.calls == []


def test_a_device_golioth_does_not_know_is_not_found_in_its_words(admin: Platform, fake: FakeGolioth) -> None:
    place = place_device(admin, fake)
    fake.store["state"].clear()

    reply = admin.call("GET", place)

    assert (reply.status_code, "device not found" in reply.json()["detail"]) == (404, True)


@pytest.mark.parametrize(("status", "answered"), [(400, 400), (403, 502), (409, 409), (499, 502), (501, 502)])
def test_what_golioth_refuses_is_told_in_its_words(
    admin: Platform, fake: FakeGolioth, status: int, answered: int
) -> None:
    place = place_device(admin, fake)
    fake.faults.append(Fault(status=status, times=9))

    reply = admin.call("PUT", place, params={"path": "desired"}, json=1)

    assert reply.status_code == answered
    assert "injected" in reply.json()["detail"]


def test_a_passing_failure_is_not_noticed(admin: Platform, fake: FakeGolioth) -> None:
    place = place_device(admin, fake, desired={"led": True})
    fake.faults.append(Fault(status=503))

    reply = admin.call("GET", place, params={"path": "desired/led"})

    assert (reply.status_code, reply.json()["state"]) == (200, True)


def test_an_integration_without_device_state_says_so(admin: Platform, fake: FakeGolioth) -> None:
    broker = admin.create("mqtt", {"broker_url": admin.stack.mqtt_url, "topics": "a"}, status="inactive")
    device = add_device(admin, broker, fake)

    reply = admin.call("GET", f"/integrations/{broker['id']}/devices/{device['id']}/state")

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")
