"""Commands to Golioth's devices: remote procedure calls, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.commanding import run_commands
from shared.database import as_service
from shared.deadline import Deadline
from shared.pulse import Pulse
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth_site import add_device, connect_golioth
from tests.platform import Platform, run_tick


def send(
    admin: Platform, fake: FakeGolioth, payload: Any, **answers: list[tuple[int, Any]]
) -> dict[str, Any]:
    """The command `reboot` to a new device that gives `answers`, after one tick."""
    device = add_device(admin, connect_golioth(admin, fake), fake)
    fake.store["rpc"].update(answers)
    body = {"device_id": device["id"], "name": "reboot", "payload": payload}
    created = admin.call("POST", "/commands", json=body).json()["command"]
    send_due()
    return show(admin, created)


def send_due(seconds: float = 0.4) -> None:
    """What a tick of so many seconds does with commands."""
    run_commands(as_service(), Deadline(seconds), Pulse())


def show(admin: Platform, command: dict[str, Any]) -> dict[str, Any]:
    return dict(admin.call("GET", f"/commands/{command['id']}").json()["command"])


@pytest.mark.parametrize(
    ("payload", "params"),
    [
        ([1, {"a": None}], [1, {"a": None}]),
        ({}, []),
        ({"params": ["x"]}, ["x"]),
        ({"params": [5], "timeout_seconds": 2}, [5]),
    ],
)
def test_a_command_is_called_on_the_device_and_confirmed_with_its_answer(
    admin: Platform, fake: FakeGolioth, payload: Any, params: list[Any]
) -> None:
    command = send(admin, fake, payload)

    ((_, body),) = fake.store["rpc"]["calls"]
    assert body == {"method": "reboot", "params": params}
    assert (command["status"], command["result"], command["error"]) == ("confirmed", {"echo": params}, None)


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        (5, None, "not found (5)."),
        (3, "no such \x00 method", "invalid argument (3): no such \ufffd method."),
        (13, {"line": 7}, 'internal (13): {"line":7}.'),
        (99, "", "an unknown status (99)."),
    ],
)
def test_what_the_device_refuses_has_failed_in_its_words(
    admin: Platform, fake: FakeGolioth, code: int, detail: Any, words: str
) -> None:
    command = send(admin, fake, [], reboot=[(code, detail)])

    assert (command["status"], command["attempts"]) == ("failed", 1)
    assert command["error"] == f"The device answered {words}"


@pytest.mark.parametrize("code", [4, 14])
def test_a_device_that_is_away_is_called_again(admin: Platform, fake: FakeGolioth, code: int) -> None:
    command = send(admin, fake, [], reboot=[(code, "try later"), (0, "done")])
    first = dict(command)
    with admin.stack.connect() as connection:
        connection.execute("update device_commands set due_at = now() where id = %s", (command["id"],))
    send_due()

    assert (first["status"], "try later" in first["error"]) == ("pending", True)
    last = show(admin, command)
    assert (last["status"], last["result"], last["error"], last["attempts"]) == ("confirmed", "done", None, 2)


@pytest.mark.parametrize(
    ("status", "becomes"),
    [(404, "failed"), (400, "failed"), (403, "pending"), (500, "pending"), (504, "pending")],
)
def test_an_error_of_the_api_is_final_only_where_trying_again_is_no_use(
    admin: Platform, fake: FakeGolioth, status: int, becomes: str
) -> None:
    fake.faults.append(Fault("rpc", status=status))

    command = send(admin, fake, [])

    assert (command["status"], command["attempts"], "injected" in command["error"]) == (becomes, 1, True)


@pytest.mark.parametrize("payload", ["x", 5, {"delay": 5}, {"params": 5}, {"timeout_seconds": 60}])
def test_a_payload_that_golioth_does_not_take_has_failed_and_was_not_sent(
    admin: Platform, fake: FakeGolioth, payload: Any
) -> None:
    command = send(admin, fake, payload)

    assert (command["status"], "list of parameters" in command["error"]) == ("failed", True)
    assert fake.calls == []


def test_an_answer_that_postgres_can_not_hold_is_kept_as_it_can(admin: Platform, fake: FakeGolioth) -> None:
    command = send(admin, fake, [], reboot=[(0, {"a\x00": "b\x00", "c": "\\u0000"})])

    assert command["status"] == "confirmed"
    assert command["result"]["a\ufffd"] == "b\ufffd"


def test_an_answer_beyond_all_bounds_is_left_out_and_said_so(admin: Platform, fake: FakeGolioth) -> None:
    command = send(admin, fake, [], reboot=[(0, "x" * 100_000)])

    assert (command["status"], command["result"]) == ("confirmed", None)
    assert "too large" in command["error"]


def test_a_device_that_takes_its_time_does_not_hold_up_the_others(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake)
    slow, quick = (add_device(admin, integration, fake) for _ in range(2))
    fake.faults.append(Fault(slow["external_id"], seconds=1.5))
    body = {"name": "reboot", "payload": []}
    admin.call("POST", "/commands", json=body | {"device_id": slow["id"]})
    for _ in range(20):
        admin.call("POST", "/commands", json=body | {"device_id": quick["id"]})

    run_tick(admin.stack, idle_seconds=0.3)

    order = [device for device, _ in fake.store["rpc"]["calls"]]
    assert order == [quick["external_id"]] * 20 + [slow["external_id"]]


def test_a_call_ends_when_its_time_is_up(admin: Platform, fake: FakeGolioth) -> None:
    fake.faults.append(Fault("rpc", seconds=3))

    command = send(admin, fake, {"timeout_seconds": 1})

    assert (command["status"], command["attempts"]) == ("pending", 1)
    assert "1 seconds" in command["error"]
