"""Batches on their way to being committed, and how much of them there may be."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.provider import SMALL, Backoff, Batch, Deadline, Message, Unavailable, load_budget, weigh_json
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.items import ItemDecoder
from shared.providers.grpc.plan import ReadPlan
from shared.providers.grpc.saved_state import Memory
from shared.providers.grpc.service import Service

BATCH_ITEMS, BATCH_BYTES, BATCH_SECONDS = 500, 2_000_000, 0.2
UNCOMMITTED_ITEMS, UNCOMMITTED_BYTES = 1_500, 16_000_000
LEAST_WEIGHT = 1_000
POLL_SECONDS, MEMORY_POLL_SECONDS = 0.002, 0.05
FINISH_SECONDS = 10.0
CODEC_PAUSES = Backoff(0.1, 2.0)


class Outbox:
    """Collects bodies to batches and waits for their commits. `owner` is the organization whose memory it takes."""

    def __init__(self, decoder: ItemDecoder, memory: Memory, owner: str) -> None:
        self._decoder = decoder
        self._memory = memory
        self._bodies: list[tuple[str, bytes]] = []
        self._kept: list[Message] = []
        self._size = self._weight = 0
        self._begun = time.monotonic()
        self._handed: deque[tuple[Batch, int, int, int]] = deque()
        self._holding = load_budget().open(owner)

    def close(self) -> None:
        """Give back what memory it holds."""
        self._holding.close()

    @property
    def count(self) -> int:
        """How many bodies wait for their batch to be closed."""
        return len(self._bodies) + len(self._kept)

    @property
    def is_due(self) -> bool:
        """Whether the open batch is as large as one may be, or has waited long enough."""
        is_full = self.count >= BATCH_ITEMS or self._size >= BATCH_BYTES
        return bool(self.count) and (is_full or time.monotonic() - self._begun >= BATCH_SECONDS)

    @property
    def has_handed(self) -> bool:
        """Whether batches wait to be committed."""
        while self._handed and self._handed[0][0].committed:
            self._handed.popleft()
        return bool(self._handed)

    def has_room(self, coming: int = 0) -> bool:
        """Whether more may be read: not too much is uncommitted, and there is memory for so many bytes more."""
        if self.has_handed:
            counts, sizes = zip(*((count, size) for _, count, size, _ in self._handed), strict=True)
            if sum(counts) >= UNCOMMITTED_ITEMS or sum(sizes) >= UNCOMMITTED_BYTES:
                return False
        wanted = self._weight + coming + sum(weight for *_, weight in self._handed)
        if wanted <= SMALL:
            self._holding.close()
            return True
        if not self._holding.has_room(wanted):
            return False
        self._holding.hold(wanted)
        return True

    def collect(self, event_id: str, body: bytes) -> None:
        """Put the body of an item into the open batch."""
        self._add(len(body), max(LEAST_WEIGHT, weigh_json(body)))
        self._bodies.append((event_id, body))

    def keep(self, event_id: str, body: bytes, reason: str) -> None:
        """The same of what can't be read."""
        self._add(len(body), 2 * len(body) + LEAST_WEIGHT)
        self._kept.append(self._decoder.keep(body, event_id, reason))

    def close_batch(self, deadline: Deadline, *, saves: bool = True) -> Iterator[Batch]:
        """The open batch, with the state as of now where it `saves` one; signs of life while no codec is free.

        Errors: Unavailable, where none got free by the deadline.
        """
        for failures in range(1, 1_000):
            try:
                batch = self._make_batch(saves=saves)
            except Unavailable:
                # Nothing is lost by waiting, for nothing is committed.
                if deadline.expired:
                    raise
                yield Batch()
                time.sleep(CODEC_PAUSES.pause(failures))
            else:
                yield batch
                return

    def wait_for_room(self, deadline: Deadline, coming: int = 0) -> Iterator[Batch]:
        """Signs of life until more may be read, or the deadline has expired."""
        while not self.has_room(coming) and not deadline.expired:
            yield Batch()
            time.sleep(POLL_SECONDS if self.has_handed else MEMORY_POLL_SECONDS)

    def settle(self) -> Iterator[Batch]:
        """Signs of life until all is committed, for a bounded time."""
        patience = Deadline(FINISH_SECONDS)
        while self.has_handed and not patience.expired:
            yield Batch()
            time.sleep(POLL_SECONDS)

    def _make_batch(self, *, saves: bool) -> Batch:
        messages = [*self._decoder.decode(self._bodies), *self._kept]
        self._memory.codec_state = self._decoder.codec_state
        state = self._memory.save() if saves else None
        batch = Batch(messages, state, self._memory.take_notes(), self._size)
        self._handed.append((batch, len(messages), self._size, self._weight))
        self._bodies, self._kept = [], []
        self._size = self._weight = 0
        return batch

    def _add(self, size: int, weight: int) -> None:
        if not self.count:
            self._begun = time.monotonic()
        self._size += size
        self._weight += weight


@dataclass(frozen=True, slots=True)
class Reading:
    """What a session reads with: by which plan, what it calls, and where what comes goes."""

    plan: ReadPlan
    service: Service
    method: Method
    memory: Memory
    outbox: Outbox
    deadline: Deadline


def cut_items(bodies: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """The items of a page in parts that are a batch each, at least one."""
    for start in range(0, len(bodies) or 1, BATCH_ITEMS):
        yield bodies[start : start + BATCH_ITEMS]
