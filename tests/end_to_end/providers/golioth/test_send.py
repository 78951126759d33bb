"""Commands to Golioth's devices: remote procedure calls, and what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.commands.sending import run_commands
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth_site import add_device, connect_golioth
from tests.platform import Platform, run_tick
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("functions_environment")

Row = dict[str, Any]
Answers = Sequence[tuple[int, Any]]


def send(
    admin: Platform, fake: FakeGolioth, payloads: Sequence[Any], faults: Mapping[int, Fault] | None = None
) -> list[Row]:
    """A command with each payload, call0, call1 …, each to a device of its own; `faults` lie in wait at some."""
    integration, commands = connect_golioth(admin, fake), []
    for number, payload in enumerate(payloads):
        device = add_device(admin, integration, fake)
        if faults and number in faults:
            faults[number].pattern = device["external_id"]
            fake.faults.append(faults[number])
        body = {"device_id": device["id"], "name": f"call{number}", "payload": payload}
        commands.append(admin.call("POST", "/commands", json=body).json()["command"])
    return commands


def answer(fake: FakeGolioth, *answers: Answers) -> None:
    """What the devices answer to call0, call1 …, in turn."""
    fake.store["rpc"] |= {f"call{number}": [*each] for number, each in enumerate(answers)}


def work(seconds: float = 0.5) -> None:
    """What a tick of so many seconds does with commands."""
    run_commands(as_service(), Deadline(seconds), Pulse())


def show(admin: Platform, commands: Sequence[Row]) -> list[Row]:
    return [admin.call("GET", f"/commands/{command['id']}").json()["command"] for command in commands]


def test_a_command_is_called_on_the_device_and_confirmed_with_its_answer(
    admin: Platform, fake: FakeGolioth
) -> None:
    payloads: list[Any] = [[1, {"a": None}], {}, {"params": ["x"]}, {"params": [5], "timeout_seconds": 2}]
    params: list[list[Any]] = [[1, {"a": None}], [], ["x"], [5]]

    commands = send(admin, fake, payloads)
    done = run_tick(admin.stack, idle_seconds=0.5)

    bodies = sorted((body for _, body in fake.store["rpc"]["calls"]), key=lambda body: body["method"])
    assert bodies == [{"method": f"call{number}", "params": each} for number, each in enumerate(params)]
    assert done["commands"]["sent"] == 4
    assert [(row["status"], row["result"], row["error"]) for row in show(admin, commands)] == [
        ("confirmed", {"echo": each}, None) for each in params
    ]


def test_what_the_device_refuses_has_failed_in_its_words(admin: Platform, fake: FakeGolioth) -> None:
    answer(fake, [(5, None)], [(3, "no such \x00 method")], [(13, {"line": 7})], [(99, "")])

    commands = send(admin, fake, [[]] * 4)
    work()

    assert [(row["status"], row["attempts"], row["error"]) for row in show(admin, commands)] == [
        ("failed", 1, "The device answered not found (5)."),
        ("failed", 1, "The device answered invalid argument (3): no such \ufffd method."),
        ("failed", 1, 'The device answered internal (13): {"line":7}.'),
        ("failed", 1, "The device answered an unknown status (99)."),
    ]


def test_a_device_that_is_away_is_called_again(admin: Platform, fake: FakeGolioth) -> None:
    answer(fake, [(4, "try later"), (0, "done")], [(14, "try later"), (0, "done")])

    commands = send(admin, fake, [[]] * 2)
    work()
    first = show(admin, commands)
    with admin.stack.connect() as connection:
        connection.execute("update device_commands set due_at = now()")
    work()

    assert [(row["status"], "try later" in row["error"]) for row in first] == [("pending", True)] * 2
    assert [
        (row["status"], row["result"], row["error"], row["attempts"]) for row in show(admin, commands)
    ] == [("confirmed", "done", None, 2)] * 2


def test_an_error_of_the_api_is_final_only_where_trying_again_is_no_use(
    admin: Platform, fake: FakeGolioth
) -> None:
    statuses = {404: "failed", 400: "failed", 403: "pending", 500: "pending", 504: "pending"}

    commands = send(
        admin, fake, [[]] * 5, {number: Fault(status=status) for number, status in enumerate(statuses)}
    )
    work()

    rows = show(admin, commands)
    assert [row["status"] for row in rows] == [*statuses.values()]
    assert [(row["attempts"], "injected" in row["error"]) for row in rows] == [(1, True)] * 5


def test_a_payload_that_golioth_does_not_take_has_failed_and_was_not_sent(
    admin: Platform, fake: FakeGolioth
) -> None:
    commands = send(admin, fake, ["x", 5, {"delay": 5}, {"params": 5}, {"timeout_seconds": 60}])
    work()

    assert [(row["status"], "list of parameters" in row["error"]) for row in show(admin, commands)] == [
        ("failed", True)
    ] * 5
    assert fake.calls == []


def test_an_answer_that_can_not_be_kept_as_it_is_is_kept_as_it_can(
    admin: Platform, fake: FakeGolioth
) -> None:
    answer(fake, [(0, {"a\x00": "b\x00", "c": "\\u0000"})], [(0, "x" * 100_000)])

    commands = send(admin, fake, [[]] * 2)
    work()

    replaced, cut = show(admin, commands)
    assert (replaced["status"], replaced["result"]["a\ufffd"]) == ("confirmed", "b\ufffd")
    assert (cut["status"], cut["result"], "too large" in cut["error"]) == ("confirmed", None, True)


def test_a_device_that_takes_its_time_does_not_hold_up_the_others(admin: Platform, fake: FakeGolioth) -> None:
    gate = threading.Event()
    send(admin, fake, [[]] * 18, {0: Fault(gate=gate)})

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work, 2)
        wait_until(lambda: len(fake.store["rpc"].get("calls", [])) == 17, "the others were held up")
        gate.set()
        working.result()

    order = [body["method"] for _, body in fake.store["rpc"]["calls"]]
    assert (len(order), order[-1]) == (18, "call0")


def test_a_call_ends_when_its_time_is_up(admin: Platform, fake: FakeGolioth) -> None:
    commands = send(admin, fake, [{"timeout_seconds": 1}], {0: Fault(seconds=2)})

    work()

    ((status, attempts, error),) = [
        (row["status"], row["attempts"], row["error"]) for row in show(admin, commands)
    ]
    assert (status, attempts, "1 seconds" in error) == ("pending", 1, True)
