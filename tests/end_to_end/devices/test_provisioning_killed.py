"""A process that is killed while it makes a device: what it has begun is completed by the scheduler."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from scripts.local.stack import ROOT
from tests.end_to_end.devices.test_provisioning import PUMP, finish_pending, list_keys, read_provisionings
from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import Fault
from tests.ports import find_free_port
from tests.stack import Stack
from tests.waiting import wait_until


@pytest.fixture
def start_function(stack: Stack) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], str]]]:
    """Starts the function in a process of its own, to be killed."""
    environment = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], str]:
        port = find_free_port()
        arguments = ["--source", "functions/integrations.py", "--target", "integrations", "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "functions_framework", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        kill_all(process)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """The server and those it has forked to answer."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_it_answers(url: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the function did not start")


@pytest.mark.parametrize("kept", ["devices", "credentials"])
def test_a_process_that_was_killed_in_the_middle_leaves_what_the_scheduler_completes(
    fleet: Fleet, start_function: Callable[[], tuple[subprocess.Popen[bytes], str]], kept: str
) -> None:
    process, url = start_function()
    wait_until_it_answers(url)
    # Golioth does it half a second after the one who asked is dead.
    fleet.fake.faults.append(Fault(f"POST .*/{kept}$", times=1, seconds=0.5))
    headers = {"Authorization": f"Bearer {fleet.admin.stack.token(fleet.admin.user)}"}

    def ask() -> None:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}{fleet.path}/devices", json=PUMP, headers=headers, timeout=30)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: any(fault.times == 0 for fault in fleet.fake.faults), "Golioth was not asked")
    kill_all(process)
    asking.join()
    wait_until(lambda: fleet.fake.store[kept], "Golioth did not do it")
    finish_pending(fleet)

    assert read_provisionings(fleet) == [("done", None)]
    (remote,) = fleet.fake.store["devices"].values()
    assert {row["external_id"] for row in fleet.devices().values()} == {remote["id"]}
    assert len(list_keys(fleet)) == 1
