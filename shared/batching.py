"""Doing together what requests ask at the same time: one call for all who came while the call before was under way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Place(Generic[Item, Result]):
    """One caller's place in the line: called when the result is there, or when it is their turn to do the work."""

    item: Item
    weight: int
    called: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    results: list[Result] = field(default_factory=list)
    error: Exception | None = None

    def finish(self, results: list[Result], error: Exception | None) -> None:
        self.results, self.error, self.done = results, error, True
        self.called.set()


class Batcher(Generic[Item, Result]):
    """Runs `run(key, items)` for concurrent callers, one at a time for each key.

    Whoever finds nobody at work does it at once, for themselves alone; those who come meanwhile wait and are done
    together by the first of them. So nothing waits for company, and load makes the batches. A batch weighs `most` at
    most, or is one item. `run` gives one result for each item, in order; what it raises, every caller of the batch
    gets. There are never more places than threads that call.
    """

    def __init__(self, run: Callable[[str, Sequence[Item]], Sequence[Result]], most: int) -> None:
        self._run = run
        self._most = most
        self._lines: dict[str, deque[_Place[Item, Result]]] = {}
        self._lock = threading.Lock()

    def submit(self, key: str, item: Item, weight: int = 1) -> Result:
        """The result for `item`, once the call that it was part of has ended."""
        place: _Place[Item, Result] = _Place(item, weight)
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = deque()
            else:
                line.append(place)
        if line is not None:
            place.called.wait()
        if not place.done:
            self._work(key, place)
        if place.error:
            raise place.error
        return place.results[0]

    def _work(self, key: str, first: _Place[Item, Result]) -> None:
        batch = self._gather(key, first)
        try:
            results = self._run(key, [place.item for place in batch])
            for place, result in zip(batch, results, strict=True):
                place.finish([result], None)
        except Exception as error:  # noqa: BLE001 - raised again by every caller of the batch
            for place in batch:
                place.finish([], error)
        finally:
            self._call_next(key)

    def _gather(self, key: str, first: _Place[Item, Result]) -> list[_Place[Item, Result]]:
        batch, weight = [first], first.weight
        with self._lock:
            line = self._lines[key]
            while line and weight + line[0].weight <= self._most:
                weight += line[0].weight
                batch.append(line.popleft())
        return batch

    def _call_next(self, key: str) -> None:
        with self._lock:
            line = self._lines[key]
            if line:
                line.popleft().called.set()
            else:
                del self._lines[key]
