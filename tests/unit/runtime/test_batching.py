"""Doing together what is asked at the same time: nobody waits for company, and nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.runtime.batching import Batcher
from tests.unit.failures import WORST


class Work:
    """Doubles numbers; the first batch waits until it is let go. `batches` is what was done together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def run(self, items: Sequence[int]) -> list[str | Exception]:
        self.batches.append(list(items))
        self.begun.set()
        assert len(self.batches) > 1 or self.go_on.wait(10)
        if 13 in items:
            raise ValueError("thirteen")
        return [ValueError("seven") if item == 7 else str(item * 2) for item in items]


def submit_all(work: Work, numbers: Sequence[int], most: int = 100, weight: int = 1) -> list[str | None]:
    """The results, None for a failure; all but the first are submitted while that is worked on."""
    batcher: Batcher[int, str] = Batcher(work.run, most)
    with ThreadPoolExecutor(len(numbers)) as threads:
        first = threads.submit(batcher.submit, numbers[0], weight)
        assert work.begun.wait(10)
        others = []
        for number in numbers[1:]:
            others.append(threads.submit(batcher.submit, number, weight))
            while len(batcher._line) < len(others):
                time.sleep(0.001)
        work.go_on.set()
        done = [first, *others]
        return [None if future.exception() else future.result() for future in done]


def test_who_comes_alone_is_served_alone_and_at_once() -> None:
    work = Work()
    work.go_on.set()
    batcher: Batcher[int, str] = Batcher(work.run, 100)

    assert [batcher.submit(1), batcher.submit(2)] == ["2", "4"]
    assert work.batches == [[1], [2]]


def test_those_who_come_meanwhile_are_served_together() -> None:
    work = Work()

    results = submit_all(work, range(7))

    assert results == [str(number * 2) for number in range(7)]
    assert work.batches == [[0], list(range(1, 7))]


@pytest.mark.parametrize(("weight", "sizes"), [(1, [1, 4, 2]), (4, [1] * 7), (9, [1] * 7)])
def test_a_batch_weighs_no_more_than_it_may(weight: int, sizes: list[int]) -> None:
    work = Work()

    submit_all(work, range(7), most=4, weight=weight)

    assert [len(batch) for batch in work.batches] == sizes


def test_a_failure_of_the_call_is_everybodys_of_its_batch_and_nobody_elses() -> None:
    work = Work()

    results = submit_all(work, [0, 1, 2, 13, 4, 5], most=3)

    assert results == ["0", None, None, None, "8", "10"]


def test_a_failure_among_the_results_is_its_own_callers() -> None:
    assert submit_all(Work(), [0, 6, 7, 8]) == ["0", "12", None, "16"]


@pytest.mark.parametrize("error", WORST)
def test_whatever_the_call_throws_every_caller_hears_it_and_the_next_are_served(
    error: type[BaseException],
) -> None:
    thrown = [error]

    def run(items: Sequence[int]) -> list[int]:
        if thrown:
            raise thrown.pop()
        return list(items)

    batcher: Batcher[int, int] = Batcher(run, 100)

    with pytest.raises((error, RuntimeError)):
        batcher.submit(1)

    assert batcher.submit(2) == 2
