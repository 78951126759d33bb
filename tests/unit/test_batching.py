"""Doing together what is asked at the same time: nobody waits for company, and nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.batching import Batcher


class Work:
    """Doubles numbers; the first batch waits until it is let go. `batches` is what was done together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def run(self, key: str, items: Sequence[int]) -> list[str]:
        self.batches.append(list(items))
        self.begun.set()
        assert len(self.batches) > 1 or self.go_on.wait(10)
        if 13 in items:
            raise ValueError("thirteen")
        return [f"{key}{item * 2}" for item in items]


def submit_all(work: Work, numbers: Sequence[int], most: int = 100, weight: int = 1) -> list[str | None]:
    """The results, None for a failure; all but the first are submitted while that is worked on."""
    batcher = Batcher(work.run, most)
    with ThreadPoolExecutor(len(numbers)) as threads:
        first = threads.submit(batcher.submit, "k", numbers[0], weight)
        assert work.begun.wait(10)
        others = []
        for number in numbers[1:]:
            others.append(threads.submit(batcher.submit, "k", number, weight))
            while len(batcher._lines["k"]) < len(others):
                time.sleep(0.001)
        work.go_on.set()
        done = [first, *others]
        return [None if future.exception() else future.result() for future in done]


def test_who_comes_alone_is_served_alone_and_at_once() -> None:
    work = Work()
    work.go_on.set()
    batcher = Batcher(work.run, 100)

    assert [batcher.submit("a", 1), batcher.submit("b", 2)] == ["a2", "b4"]
    assert work.batches == [[1], [2]]
    assert not batcher._lines


def test_those_who_come_meanwhile_are_served_together() -> None:
    work = Work()

    results = submit_all(work, range(8))

    assert results == [f"k{number * 2}" for number in range(8)]
    assert [sorted(batch) for batch in work.batches] == [[0], list(range(1, 8))]


@pytest.mark.parametrize(("weight", "sizes"), [(1, [1, 4, 3]), (4, [1] * 8), (9, [1] * 8)])
def test_a_batch_weighs_no_more_than_it_may(weight: int, sizes: list[int]) -> None:
    work = Work()

    submit_all(work, range(8), most=4, weight=weight)

    assert [len(batch) for batch in work.batches] == sizes


def test_a_failure_is_everybodys_of_its_batch_and_nobody_elses() -> None:
    work = Work()

    results = submit_all(work, [0, *[13] * 3, 4, 5], most=3)

    assert (results[0], results.count(None)) == ("k0", 3)
    assert len(work.batches) == 3


def test_keys_do_not_wait_for_one_another() -> None:
    work = Work()
    batcher = Batcher(work.run, 100)
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(batcher.submit, "a", 1)
        assert work.begun.wait(10)

        assert batcher.submit("b", 2) == "b4"
        work.go_on.set()
        assert held.result() == "a2"
