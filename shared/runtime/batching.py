"""Doing together what requests ask at the same time: one call for all who came while the call before was under way."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


_YOUR_TURN: Any = object()


@dataclass(slots=True)
class _Place(Generic[Item]):
    """One caller's place in the line: told the result, or before that that it is their turn to do the work."""

    item: Item
    weight: int
    owner: str
    told: SimpleQueue[Any] = field(default_factory=SimpleQueue)


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
        self._line: deque[_Place[Item]] = deque()
        self._busy = False
        self._lock = threading.Lock()

    def submit(self, item: Item, weight: int = 1, owner: str = "") -> Result:
        """The result for `item`, once the call that it was part of has ended.

        Owners take turns in a batch: the many of one keep nobody else's out of it.
        """
        place = _Place(item, weight, owner)
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

    def _work(self, first: _Place[Item]) -> None:
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

    def _gather(self, first: _Place[Item]) -> list[_Place[Item]]:
        batch, weight = [first], first.weight
        with self._lock:
            for place in _take_turns(self._line, first.owner):
                if weight + place.weight > self._most:
                    break
                weight += place.weight
                batch.append(place)
            taken = set(map(id, batch))
            self._line = deque(place for place in self._line if id(place) not in taken)
        return batch

    def _call_next(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().told.put(_YOUR_TURN)
            else:
                self._busy = False


def _take_turns(line: Iterable[_Place[Item]], served: str) -> list[_Place[Item]]:
    """The line, one of each owner after another; `served` has had a turn."""
    turns, placed = Counter([served]), list[tuple[int, int, _Place[Item]]]()
    for number, place in enumerate(line):
        placed.append((turns[place.owner], number, place))
        turns[place.owner] += 1
    return [place for _, _, place in sorted(placed, key=lambda each: each[:2])]
