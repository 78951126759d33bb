"""Doing together what is asked at the same time: nobody waits for company, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.runtime.batching import AsyncBatcher, Batcher
from shared.runtime.errors import Unavailable
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


async def submit_side_by_side(
    work: Work, numbers: Sequence[int], most: int = 100, places: int = 100, owners: str = ""
) -> list[str | BaseException]:
    """The results; all but the first are submitted while that is worked on. `owners` has a letter for each number."""
    batcher: AsyncBatcher[int, str] = AsyncBatcher(work.run, most, places)
    names = owners or "x" * len(numbers)
    first = asyncio.create_task(batcher.submit(numbers[0], owner=names[0]))
    assert await asyncio.to_thread(work.begun.wait, 10)
    others = [
        asyncio.create_task(batcher.submit(number, owner=name))
        for number, name in zip(numbers[1:], names[1:], strict=True)
    ]
    await asyncio.sleep(0)
    work.go_on.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_coroutines_that_come_meanwhile_are_served_together() -> None:
    work = Work()

    results = asyncio.run(submit_side_by_side(work, range(7), most=4))

    assert results == [str(number * 2) for number in range(7)]
    assert work.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_a_failure_is_each_coroutines_of_its_batch_alone() -> None:
    work = Work()

    results = asyncio.run(submit_side_by_side(work, [0, 7, 2, 13, 4, 5], most=2))

    assert [isinstance(result, ValueError) for result in results] == [False, True, False, True, True, False]


def test_who_comes_when_all_places_are_taken_is_told_so_at_once() -> None:
    work = Work()

    results = asyncio.run(submit_side_by_side(work, range(5), places=2))

    assert results[:3] == ["0", "2", "4"]
    assert [isinstance(result, Unavailable) for result in results[3:]] == [True, True]


def test_whoever_has_most_of_the_places_makes_room_for_the_others() -> None:
    work = Work()

    results = asyncio.run(submit_side_by_side(work, range(7), places=4, owners="aaaaabc"))

    refused = [number for number, result in enumerate(results) if isinstance(result, Unavailable)]
    assert refused == [3, 4]
    assert [results[number] for number in (0, 1, 2, 5, 6)] == ["0", "2", "4", "10", "12"]


def test_a_coroutine_that_is_given_up_takes_no_other_along() -> None:
    work = Work()

    async def give_one_up() -> list[str]:
        batcher: AsyncBatcher[int, str] = AsyncBatcher(work.run, 100, 100)
        first, second = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
        assert await asyncio.to_thread(work.begun.wait, 10)
        third = asyncio.create_task(batcher.submit(3))
        first.cancel()
        work.go_on.set()
        return [await second, await third]

    assert asyncio.run(give_one_up()) == ["4", "6"]


def test_owners_take_turns_among_coroutines_too() -> None:
    work = Work()

    async def submit_of_two() -> None:
        batcher: AsyncBatcher[int, str] = AsyncBatcher(work.run, 2, 100)
        first = asyncio.create_task(batcher.submit(0, owner="many"))
        assert await asyncio.to_thread(work.begun.wait, 10)
        others = [asyncio.create_task(batcher.submit(number, owner="many")) for number in (1, 2, 3)]
        others.append(asyncio.create_task(batcher.submit(4, owner="one")))
        await asyncio.sleep(0)
        work.go_on.set()
        await asyncio.gather(first, *others)

    asyncio.run(submit_of_two())

    assert work.batches == [[0], [1, 4], [2, 3]]
