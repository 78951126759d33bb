"""Answers of brokers as they come: a large one waits for memory that another holds, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

import pytest

from shared.providers.kafka import frames
from shared.providers.kafka.frames import FRAME_BYTES, Frames
from shared.runtime.memory import MemoryBudget

MOST, LARGE = 1_000_000, 700_000


class Connection:
    """A protocol and its transport, which write down what happens to them."""

    def __init__(self) -> None:
        self.received, self.resumed = b"", asyncio.Event()
        self.is_paused = self.is_aborted = self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.is_lost = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        self.resumed.set()

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> MemoryBudget:
    made = MemoryBudget(MOST)
    monkeypatch.setattr(frames, "load_reading_budget", lambda: made)
    return made


def connect() -> tuple[Connection, Any]:
    """The connection, and what is called with its bytes."""
    connection = Connection()
    Frames(cast("Any", connection), "an organization").watch(cast("Any", connection))
    return connection, connection


def frame(size: int) -> bytes:
    return struct.pack(">i", size) + bytes(size)


def test_a_large_answer_waits_while_another_is_under_way_and_comes_whole_then(budget: MemoryBudget) -> None:
    async def run() -> None:
        (one, first), (other, second) = connect(), connect()
        first.data_received(frame(LARGE)[:100])
        second.data_received(frame(10) + frame(LARGE)[:50])
        second.data_received(frame(LARGE)[50:200])
        held = (other.received, other.is_paused, budget.free)
        first.data_received(frame(LARGE)[100:])
        await other.resumed.wait()
        second.data_received(frame(LARGE)[200:] + frame(3))

        assert held == (frame(10) + struct.pack(">i", LARGE), True, MOST - LARGE)
        assert one.received == frame(LARGE)
        assert other.received == frame(10) + frame(LARGE) + frame(3)
        assert budget.free == MOST

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_connection_that_is_lost_gives_back_what_it_held(budget: MemoryBudget) -> None:
    connection, given = connect()
    given.data_received(frame(LARGE)[:100])

    given.connection_lost(None)

    assert connection.is_lost
    assert budget.free == MOST


@pytest.mark.parametrize("size", [-1, FRAME_BYTES + 1])
def test_an_answer_of_a_size_that_none_has_ends_the_connection(budget: MemoryBudget, size: int) -> None:
    connection, given = connect()

    given.data_received(struct.pack(">i", size) + b"more")

    assert connection.is_aborted
    assert (connection.received, budget.free) == (b"", MOST)
