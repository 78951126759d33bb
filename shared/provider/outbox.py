"""Outbox: what a session has read and is not committed, within bounds of messages, bytes, memory (backpressure)."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.provider.batch import Batch
from shared.provider.items import BATCH_BYTES, BATCH_ITEMS
from shared.runtime.backoff import Backoff
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.memory import SMALL, load_budget, weigh_json

BATCH_SECONDS = 0.2
POLL_SECONDS, MEMORY_POLL_SECONDS = 0.002, 0.05
FINISH_SECONDS = 10.0
CODEC_PAUSES = Backoff(0.1, 2.0)

SHORT, LEAST_WEIGHT, SHORT_FACTOR = 256, 1_000, 8
"""Bodies up to so many bytes are taken to weigh so much, and so many times their size: nobody looks into each."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many messages, and bytes as they came, may be uncommitted, and how many of these in one batch."""

    messages: int
    size: int
    batch_messages: int = BATCH_ITEMS
    batch_size: int = BATCH_BYTES


@dataclass(frozen=True, slots=True)
class _Handed:
    batch: Batch
    weight: int


class Outbox:
    """Counts what is collected to a batch, and waits for the commits of those handed over. For one session's thread.

    `owner` is the organization whose memory it takes. A weight is how many bytes of that something comes to.
    """

    def __init__(self, bounds: Bounds, owner: str) -> None:
        self.count = 0
        """How many messages wait for their batch to be closed."""
        self.is_full = False
        """Whether the open batch is as large as one may be."""
        self._bounds = bounds
        self._size = self._weight = 0
        self._begun = 0.0
        self._handed: deque[_Handed] = deque()
        self._holding = load_budget().open(owner)

    def close(self) -> None:
        """Give back what memory it holds."""
        self._holding.close()

    def add(self, size: int, weight: int) -> None:
        """Something of `size` bytes is in the open batch."""
        if not self.count:
            self._begun = time.monotonic()
        self.count += 1
        self._size += size
        self._weight += weight
        if self.count >= self._bounds.batch_messages or self._size >= self._bounds.batch_size:
            self.is_full = True

    def hand(self, batch: Batch) -> Batch:
        """`batch`, which what was added has become, is handed over; another is open. One of nothing needs no commit."""
        batch.received_bytes = self._size
        if not batch.is_empty:
            self._handed.append(_Handed(batch, self._weight))
        self.count = self._size = self._weight = 0
        self.is_full = False
        return batch

    @property
    def is_due(self) -> bool:
        """Whether the open batch is full, or has waited long enough."""
        return self.is_full or (bool(self.count) and time.monotonic() - self._begun >= BATCH_SECONDS)

    @property
    def has_handed(self) -> bool:
        """Whether batches wait to be committed."""
        while self._handed and self._handed[0].batch.committed:
            self._handed.popleft()
        return bool(self._handed)

    @property
    def is_within_bounds(self) -> bool:
        """Whether what was handed over and is not committed is within the bounds."""
        if not self.has_handed:
            return True
        count = sum(len(each.batch.messages) for each in self._handed)
        size = sum(each.batch.received_bytes for each in self._handed)
        return count < self._bounds.messages and size < self._bounds.size

    @property
    def weight(self) -> int:
        """Of all that was added and was not committed when last looked at."""
        return self._weight + sum(each.weight for each in self._handed)

    def has_room(self, coming: int = 0) -> bool:
        """Whether more may be read: not too much is uncommitted, and there is memory for so much, which it takes."""
        if not self.is_within_bounds:
            return False
        wanted = self.weight + coming
        if wanted <= SMALL:
            self._holding.close()
            return True
        if not self._holding.has_room(wanted):
            return False
        self._holding.hold(wanted)
        return True

    def wait_a_moment(self) -> Iterator[Batch]:
        """A sign of life, and a pause after which there may be more room."""
        pause = POLL_SECONDS if self.has_handed else MEMORY_POLL_SECONDS
        yield Batch()
        time.sleep(pause)

    def wait_for_room(self, deadline: Deadline | None = None, coming: int = 0) -> Iterator[Batch]:
        """Signs of life until more may be read, or the deadline has expired."""
        while not self.has_room(coming) and not (deadline and deadline.expired):
            yield from self.wait_a_moment()

    def settle(self) -> Iterator[Batch]:
        """Signs of life until all is committed, for a bounded time."""
        patience = Deadline(FINISH_SECONDS)
        while self.has_handed and not patience.expired:
            yield from self.wait_a_moment()


def wait_for_codec(make: Callable[[], Batch], deadline: Deadline) -> Iterator[Batch]:
    """What `make` makes; signs of life while no codec is free, for nothing is lost by waiting, as nothing is committed.

    Errors: Unavailable, where none got free by the deadline.
    """
    for failures in itertools.count(1):
        try:
            batch = make()
        except Unavailable:
            if deadline.expired:
                raise
            yield Batch()
            time.sleep(CODEC_PAUSES.pause(failures))
        else:
            yield batch
            return


def weigh_body(body: bytes) -> int:
    """The weight of a body of which there are many."""
    size = len(body)
    return LEAST_WEIGHT + SHORT_FACTOR * size if size <= SHORT else weigh_json(body)
