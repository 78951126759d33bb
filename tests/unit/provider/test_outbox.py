"""The outbox: batches close in time, no more is uncommitted than may be, and memory is counted and given back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.provider import Backoff, Batch, Bounds, Deadline, Message, Outbox, Unavailable, wait_for_codec
from shared.provider import outbox as outboxes
from shared.runtime.memory import SMALL, MemoryBudget

MOST_BYTES = 1_000_000
BOUNDS = Bounds(messages=4, size=1_000, batch_messages=2, batch_size=500)


@pytest.fixture(autouse=True)
def budget(monkeypatch: pytest.MonkeyPatch) -> MemoryBudget:
    """One of the test alone."""
    budget = MemoryBudget(MOST_BYTES)
    monkeypatch.setattr(outboxes, "load_budget", lambda: budget)
    return budget


def hand(outbox: Outbox, count: int = 1, size: int = 1, weight: int = 1) -> Batch:
    """A batch of so many messages, each of such a size and weight."""
    for _ in range(count):
        outbox.add(size, weight)
    return outbox.hand(Batch([Message(str(number)) for number in range(count)]))


@pytest.mark.parametrize(("count", "size"), [(2, 1), (1, 500)], ids=["messages", "bytes"])
def test_a_batch_is_due_once_it_is_full(count: int, size: int) -> None:
    outbox = Outbox(BOUNDS, "o")
    before = outbox.is_due
    for _ in range(count):
        outbox.add(size, 1)

    assert (before, outbox.is_full, outbox.is_due, outbox.count) == (False, True, True, count)


def test_a_batch_is_due_once_it_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(BOUNDS, "o")
    outbox.add(1, 1)
    early = outbox.is_due
    monkeypatch.setattr(outboxes, "BATCH_SECONDS", 0.0)

    assert (early, outbox.is_full, outbox.is_due) == (False, False, True)


def test_what_is_handed_over_says_its_bytes_and_opens_another() -> None:
    outbox = Outbox(BOUNDS, "o")

    batch = hand(outbox, count=2, size=300)

    assert (batch.received_bytes, outbox.count, outbox.is_full, outbox.is_due) == (600, 0, False, False)
    assert outbox.has_handed


def test_what_a_codec_has_left_nothing_of_is_not_waited_for() -> None:
    outbox = Outbox(BOUNDS, "o")
    outbox.add(1_000, 100_000)

    outbox.hand(Batch())

    assert (outbox.has_handed, outbox.has_room(), outbox.weight) == (False, True, 0)


@pytest.mark.parametrize(("count", "size"), [(2, 1), (1, 500)], ids=["messages", "bytes"])
def test_nothing_more_is_read_until_the_first_is_committed(count: int, size: int) -> None:
    outbox = Outbox(BOUNDS, "o")
    first, second = (hand(outbox, count, size) for _ in range(2))
    full = outbox.has_room()

    second.committed = True
    behind = outbox.has_room()
    first.committed = True

    assert (full, behind, outbox.has_room(), outbox.has_handed) == (False, False, True, False)


def test_memory_is_taken_for_what_is_open_handed_over_and_coming_and_given_back(budget: MemoryBudget) -> None:
    outbox = Outbox(BOUNDS, "o")
    batch = hand(outbox, weight=100_000)
    outbox.add(1, 10_000)

    took = outbox.has_room(coming=1_000), MOST_BYTES - budget.free
    batch.committed = True
    kept = outbox.has_room(), MOST_BYTES - budget.free
    outbox.close()

    assert (took, kept, budget.free) == ((True, 111_000), (True, 0), MOST_BYTES)


def test_what_is_small_needs_no_memory_and_more_waits_for_it(budget: MemoryBudget) -> None:
    budget.open("another").hold(MOST_BYTES)
    outbox = Outbox(BOUNDS, "o")

    assert (outbox.has_room(SMALL), outbox.has_room(SMALL + 1), budget.free) == (True, False, 0)


def test_waiting_for_room_gives_signs_of_life_until_there_is() -> None:
    outbox = Outbox(BOUNDS, "o")
    batches = [hand(outbox, count=2) for _ in range(2)]

    signs = outbox.wait_for_room()
    first = next(signs)
    batches[0].committed = True

    assert (first, list(signs), outbox.has_handed) == (Batch(), [], True)


def test_waiting_for_room_ends_with_the_deadline() -> None:
    outbox = Outbox(BOUNDS, "o")
    hand(outbox, count=4)

    assert (list(outbox.wait_for_room(Deadline(0))), outbox.has_room()) == ([], False)


def test_settling_waits_for_all_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(BOUNDS, "o")
    batch = hand(outbox)

    signs = outbox.settle()
    first = next(signs)
    batch.committed = True
    rest = list(signs)
    hand(outbox)
    monkeypatch.setattr(outboxes, "FINISH_SECONDS", 0.0)

    assert (first, rest, list(outbox.settle())) == (Batch(), [], [])


def test_a_batch_is_made_again_until_a_codec_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    made, answers = Batch([Message("1")]), iter([Unavailable(), Unavailable(), None])
    monkeypatch.setattr(outboxes, "CODEC_PAUSES", Backoff(0, 0))

    def make() -> Batch:
        if failure := next(answers):
            raise failure
        return made

    *signs, batch = wait_for_codec(make, Deadline(60))
    assert (signs, batch is made) == ([Batch(), Batch()], True)


def test_what_gets_no_codec_by_the_deadline_fails() -> None:
    def make() -> Batch:
        raise Unavailable

    waiting: Iterator[Batch] = wait_for_codec(make, Deadline(0))

    with pytest.raises(Unavailable):
        next(waiting)
