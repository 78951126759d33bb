"""Children are lent fairly: nobody takes them all, nobody waits for ever, nothing is lost when one is killed."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shared.codecs.children import Children
from shared.codecs.codec import Codec
from shared.codecs.contract import Uplink
from shared.codecs.limits import CHILDREN
from shared.codecs.run import Item, Program, Run
from shared.runtime.errors import Unavailable
from tests.unit.codecs.decoding import uplink
from tests.unit.codecs.test_sparkplug_b import BIRTH, payload

A, B, C = "organization-a", "organization-b", "organization-c"
BUSY = uplink("for (let i = 0; i < 20000; i++); return { data: input.bytes[0] }")
HANGING = uplink("if (input.bytes[0] === 1) Array(2 ** 31 - 1).join(); return { data: input.bytes[0] }")


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(most=4, of_one=2, wait=20.0)
    yield made
    made.close()


def borrow(children: Children, *organizations: str) -> ExitStack:
    """Places for these organizations, until the stack is closed."""
    stack = ExitStack()
    for organization in organizations:
        stack.enter_context(children.borrow(organization, "javascript"))
    return stack


def test_an_organization_borrows_half_of_them_at_most() -> None:
    children = Children(most=4, of_one=2, wait=0.05)

    with borrow(children, A, A), pytest.raises(Unavailable, match="busy"):
        borrow(children, A)

    with borrow(children, A, A):
        assert children._lent == {A: 2}


def test_when_all_are_lent_nobody_gets_one() -> None:
    children = Children(most=4, of_one=2, wait=0.05)

    with borrow(children, A, A, B, B), pytest.raises(Unavailable, match="busy"):
        borrow(children, C)

    with borrow(children, C):
        assert children._lent == {C: 1}


def test_whose_codec_was_killed_borrows_one_for_a_while() -> None:
    children = Children(most=4, of_one=2, wait=0.05)
    children.note_trouble(A)

    with borrow(children, A, B, B), pytest.raises(Unavailable):
        borrow(children, A)


def test_whose_codec_was_killed_takes_nobody_elses_child(children: Children) -> None:
    program = Program(B, "javascript", BUSY)
    Run(program, "decode", {}).work([Item(["07", None, None, None], 2)], children)
    (warm,) = [slot for slot in children._idle if slot._child]
    before = warm._child
    children.note_trouble(A)

    for _ in range(3):
        Run(Program(A, "javascript", HANGING), "decode", {}).work(
            [Item(["01", None, None, None], 2)], children
        )

    assert warm._child is before
    assert Run(program, "decode", {}).work([Item(["07", None, None, None], 2)], children)[0]["data"] == 7


def test_who_waits_goes_in_order_past_those_who_may_not(children: Children) -> None:
    order: list[str] = []

    def note(organization: str) -> None:
        with borrow(children, organization):
            order.append(organization)

    waiting = threading.Thread(target=note, args=(A,))
    with borrow(children, A, A):
        waiting.start()
        while not children._line:
            time.sleep(0.01)
        note(B)
    waiting.join()

    assert order == [B, A]


def list_own_children() -> set[int]:
    files = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in files for pid in file.read_text().split()}


def test_nothing_is_lost_while_children_are_killed_from_outside(children: Children) -> None:
    program = Program(
        A, "javascript", uplink("for (let i = 0; i < 20000; i++); return { data: input.bytes[0] }")
    )
    items = [Item([f"{at:02x}", None, None, None], 2) for at in range(250)]
    before = list_own_children()
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for pid in list_own_children() - before:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    results = Run(program, "decode", {}).work(items, children)
    thread.join()

    assert killed
    assert [result.get("data") for result in results] == list(range(250))


@contextmanager
def killing(pause: float, most: int = 1_000_000) -> Iterator[list[int]]:
    """Each child that is there from now on, killed every so often, so many of them at most."""
    before, ended, killed = list_own_children(), threading.Event(), list[int]()

    def kill() -> None:
        while not ended.wait(pause) and len(killed) < most:
            for pid in list_own_children() - before:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def insist(program: Program, items: list[Item], children: Children) -> Run:
    """The call, made again while it finds no process that lives long enough to begin."""
    while True:
        run = Run(program, "decode", {})
        with suppress(Unavailable):
            run.work(items, children)
            return run


def test_nobody_is_blamed_while_children_are_killed_again_and_again(children: Children) -> None:
    program = Program(A, "javascript", BUSY)
    items = [Item([f"{at % 256:02x}", None, None, None], 2) for at in range(1_500)]

    with killing(0.5) as killed:
        alone = [insist(program, items[7:8], children).results for _ in range(100)]
        together = insist(program, items, children).results

    assert killed
    assert [results[0].get("data") for results in alone] == [7] * 100
    assert [result.get("data") for result in together] == [at % 256 for at in range(1_500)]


def test_where_every_child_is_killed_a_call_ends_and_the_next_works(children: Children) -> None:
    program, item = Program(A, "javascript", BUSY), Item(["07", None, None, None], 2)
    begun, results = time.monotonic(), list[dict[str, Any]]()

    with killing(0.005), suppress(Unavailable):
        results = Run(program, "decode", {}).work([item], children)

    assert time.monotonic() - begun < 60
    assert all("it was stopped" in result["errors"][0] for result in results)
    assert Run(program, "decode", {}).work([item], children)[0]["data"] == 7


def test_what_a_session_knows_of_births_outlives_its_child(children: Children) -> None:
    topic = "spBv1.0/plant/{}/edge"
    bodies = [payload({"alias": 1, "float_value": at}, seq=at % 256).hex() for at in range(1, 400)]
    items = [Item([BIRTH.hex(), None, topic.format("NBIRTH"), None], 100)]
    items += [Item([body, None, topic.format("NDATA"), None], 50) for body in bodies]
    program = Program(A, "sparkplug_b", "")

    with killing(0.2, most=3) as killed:
        while len(killed) < 3:
            run = insist(program, items, children)
            assert [result.get("errors") for result in run.results] == [None] * 400
            assert run.results[399]["messages"][0]["payload"] == {"temp": 399}
            assert run.state["nodes"]["plant/edge"]["sequence"] == 399 % 256


def test_where_no_process_can_be_started_a_call_says_so_and_the_next_works(children: Children) -> None:
    program = Program(A, "javascript", uplink("return { data: 1 }"))
    item = Item(["", None, None, None], 0)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)

    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
    try:
        with pytest.raises(Unavailable, match="could be started"):
            Run(program, "decode", {}).work([item], children)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)

    assert Run(program, "decode", {}).work([item], children)[0]["data"] == 1


def test_many_threads_of_many_organizations_all_get_their_own_results() -> None:
    def work(at: int) -> list[object]:
        codec = Codec(
            f"organization-{at % 7}", "javascript", uplink(f"return {{ data: [{at}, input.bytes[0]] }}")
        )
        return [one.data for one in codec.decode([Uplink(bytes([n])) for n in range(20)])]

    with ThreadPoolExecutor(CHILDREN * 4) as pool:
        results = list(pool.map(work, range(40)))

    assert results == [[[at, n] for n in range(20)] for at in range(40)]


def test_a_codec_that_hangs_does_not_keep_others_waiting() -> None:
    hanging = Codec(A, "javascript", HANGING)
    other = Codec(B, "javascript", uplink("return { data: 1 }"))
    other.decode([Uplink(b"")])
    stop = threading.Event()

    def hang() -> None:
        while not stop.is_set():
            hanging.decode([Uplink(b"\x01"), Uplink(b"\x02")])

    thread = threading.Thread(target=hang)
    thread.start()
    waited = []
    for _ in range(50):
        begun = time.monotonic()
        assert other.decode([Uplink(b"")])[0].data == 1
        waited.append(time.monotonic() - begun)
    stop.set()
    thread.join()

    assert sorted(waited)[len(waited) // 2] < 0.5
