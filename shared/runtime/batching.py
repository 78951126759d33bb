"""Doing together what requests ask at the same time: one call for all who came while the call before was under way."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

from shared.runtime.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


_YOUR_TURN: Any = object()


@dataclass(slots=True)
class _Place(Generic[Item]):
    """One caller's place in the line."""

    item: Item
    weight: int
    owner: str


@dataclass(slots=True)
class _Caller(_Place[Item]):
    """A thread, which is told the result, or before that that it is its turn to do the work."""

    told: SimpleQueue[Any] = field(default_factory=SimpleQueue)


@dataclass(slots=True)
class _Waiter(_Place[Item]):
    """A coroutine, and what its work is done and logged as."""

    told: asyncio.Future[Any]
    context: Context


AnyPlace = TypeVar("AnyPlace", bound=_Place[Any])


class Batcher(Generic[Item, Result]):
    """Runs `run(items)` for concurrent callers, one call at a time.

    Whoever finds nobody at work does it at once, for themselves alone; those who come meanwhile wait and are done
    together by the first of them. So nothing waits for company, and load makes the batches. A batch weighs `most` at
    most, or is one item. `run` gives one result for each item, in order; an exception among them is its caller's, one
    that it raises is everybody's of the batch. There are never more places than threads that call.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result | Exception]], most: int) -> None:
        self._run = run
        self._most = most
        self._line: deque[_Caller[Item]] = deque()
        self._busy = False
        self._lock = threading.Lock()

    def submit(self, item: Item, weight: int = 1, owner: str = "") -> Result:
        """The result for `item`, once the call that it was part of has ended.

        Owners take turns in a batch: the many of one keep nobody else's out of it.
        """
        place = _Caller(item, weight, owner)
        with self._lock:
            if self._busy:
                self._line.append(place)
            else:
                self._busy = True
                place.told.put(_YOUR_TURN)
        result = place.told.get()
        if result is _YOUR_TURN:
            self._work(place)
            result = place.told.get()
        if isinstance(result, BaseException):
            raise result
        return cast("Result", result)

    def _work(self, first: _Caller[Item]) -> None:
        batch = self._gather(first)
        try:
            results = self._run([place.item for place in batch])
            for place, result in zip(batch, results, strict=True):
                place.told.put(result)
        except BaseException as error:  # noqa: BLE001 - raised again by every caller of the batch
            for place in batch:
                place.told.put(error)
        finally:
            self._call_next()

    def _gather(self, first: _Caller[Item]) -> list[_Caller[Item]]:
        with self._lock:
            batch, self._line = _choose_batch(first, self._line, self._most)
        return batch

    def _call_next(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().told.put(_YOUR_TURN)
            else:
                self._busy = False


class AsyncBatcher(Generic[Item, Result]):
    """The same for coroutines: `run` works in a thread of its own, while the event loop takes in what comes next.

    At most `places` wait; then the last of whoever has most of them is told Unavailable.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Result | Exception]], most: int, places: int
    ) -> None:
        self._run = run
        self._most = most
        self._places = places
        self._line: deque[_Waiter[Item]] = deque()
        self._working: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "batches")

    async def submit(self, item: Item, weight: int = 1, owner: str = "") -> Result:
        """See Batcher.submit."""
        if len(self._line) >= self._places:
            self._make_room(owner)
        loop = asyncio.get_running_loop()
        place = _Waiter(item, weight, owner, loop.create_future(), copy_context())
        self._line.append(place)
        if self._working is None:
            self._working = loop.create_task(self._work())
        return cast("Result", await place.told)

    def _make_room(self, owner: str) -> None:
        full = Unavailable("Too many requests wait just now; nothing was done. Send it again.", retry_after=1)
        waiting = Counter(place.owner for place in self._line)
        most, count = waiting.most_common(1)[0]
        if count <= waiting[owner] + 1:
            raise full
        last = next(place for place in reversed(self._line) if place.owner == most)
        self._line = deque(place for place in self._line if place is not last)
        _tell(last, full)

    async def _work(self) -> None:
        try:
            while self._line:
                batch, self._line = _choose_batch(self._line.popleft(), self._line, self._most)
                await self._run_batch(batch)
        finally:
            self._working = None

    async def _run_batch(self, batch: Sequence[_Waiter[Item]]) -> None:
        items = [place.item for place in batch]
        try:
            run = asyncio.get_running_loop().run_in_executor(
                self._thread, batch[0].context.run, self._run, items
            )
            for place, result in zip(batch, await run, strict=True):
                _tell(place, result)
        except BaseException as error:
            for place in batch:
                _tell(place, error)
            if not isinstance(error, Exception):
                raise


def _tell(place: _Waiter[Any], result: object) -> None:
    if place.told.done():
        return
    if isinstance(result, BaseException):
        place.told.set_exception(result)
    else:
        place.told.set_result(result)


def _choose_batch(
    first: AnyPlace, line: Iterable[AnyPlace], most: int
) -> tuple[list[AnyPlace], deque[AnyPlace]]:
    """Who is done together with the first, and who goes on waiting."""
    batch, weight = [first], first.weight
    for place in _take_turns(line, first.owner):
        if weight + place.weight > most:
            break
        weight += place.weight
        batch.append(place)
    taken = set(map(id, batch))
    return batch, deque(place for place in line if id(place) not in taken)


def _take_turns(line: Iterable[AnyPlace], served: str) -> list[AnyPlace]:
    """The line, one of each owner after another; `served` has had a turn."""
    turns, placed = Counter([served]), list[tuple[int, int, AnyPlace]]()
    for number, place in enumerate(line):
        placed.append((turns[place.owner], number, place))
        turns[place.owner] += 1
    return [place for _, _, place in sorted(placed, key=lambda each: each[:2])]
