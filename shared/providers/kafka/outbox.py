"""Batches on their way to being committed, and how much of them there may be."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from shared.provider import (
    SMALL,
    Batch,
    Codec,
    CodedBody,
    Message,
    Note,
    load_budget,
    read_bodies,
    weigh_json,
)
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.saved_state import Memory, SavedPlace

BATCH_MESSAGES, BATCH_BYTES, BATCH_SECONDS = 2_000, 2_000_000, 0.2
UNCOMMITTED_MESSAGES, UNCOMMITTED_BYTES = 6_000, 16_000_000
FETCHED_FACTOR = 4
"""What the bytes of a fetch may come to before each record is looked at: none is begun without memory for that."""

SHORT, LEAST_WEIGHT, SHORT_FACTOR = 256, 1_000, 8
"""Bodies up to so many bytes are taken to weigh so much, and so many times their size: nobody looks into each."""


@dataclass(slots=True)
class _Part:
    """What is collected to one batch."""

    received: list[Message | CodedBody] = field(default_factory=list)
    size: int = 0
    weight: int = 0
    begun: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Handed:
    """A batch that was handed over, with how much it is."""

    batch: Batch
    count: int
    size: int
    weight: int


class Outbox:
    """Collects what was read to batches, decoded by a codec where there is one, and waits for their commits."""

    def __init__(self, plan: ReadPlan, memory: Memory) -> None:
        self._plan = plan
        self._memory = memory
        self._codec: Codec | None = None
        self.is_full = False
        """Whether the open batch is as large as one may be."""
        self._open, self._fetched = _Part(), 0
        self._handed: deque[_Handed] = deque()
        self._holding = load_budget().open(plan.cluster.owner)

    def close(self) -> None:
        """Give back what memory it holds."""
        self._holding.close()

    @property
    def count(self) -> int:
        """How many messages wait for their batch to be closed."""
        return len(self._open.received)

    @property
    def is_due(self) -> bool:
        """Whether the open batch has waited long enough."""
        return bool(self.count) and time.monotonic() - self._open.begun >= BATCH_SECONDS

    @property
    def has_handed(self) -> bool:
        """Whether batches wait to be committed."""
        self._settle()
        return bool(self._handed)

    def has_room(self, fetched: int) -> bool:
        """Whether more may be read: not too much is uncommitted, and there is memory for a fetch of so many bytes."""
        self._settle()
        count, size = sum(each.count for each in self._handed), sum(each.size for each in self._handed)
        if count >= UNCOMMITTED_MESSAGES or size >= UNCOMMITTED_BYTES:
            return False
        wanted = self._weigh_all() + max(FETCHED_FACTOR * fetched, self._fetched)
        if wanted <= SMALL:
            self._holding.close()
            return True
        if not self._holding.has_room(wanted):
            return False
        self._holding.hold(wanted)
        return True

    def note_fetched(self, size: int) -> None:
        """So many bytes are there to be read: a broker may give more than it was asked for."""
        self._fetched = size
        if size > SMALL:
            self._holding.hold(max(self._holding.size, self._weigh_all() + size))

    def collect(self, received: Message | CodedBody, body: bytes | None) -> None:
        """Put what was read of `body` into the open batch."""
        part, size = self._open, len(body) if body else 0
        if not part.received:
            part.begun = time.monotonic()
        part.received.append(received)
        part.size += size
        part.weight += LEAST_WEIGHT + SHORT_FACTOR * size if size <= SHORT or not body else weigh_json(body)
        self.is_full = part.size >= BATCH_BYTES or len(part.received) >= BATCH_MESSAGES

    def make_batch(self, parts: dict[str, dict[str, SavedPlace]], lag: int, notes: list[Note]) -> Batch:
        """The open batch, with the state as of its last record. Errors: InvalidConfig, Unavailable, of a codec."""
        part = self._open
        messages = self._decode(part.received)
        state = self._memory.save(self._plan.topics, parts, lag)
        batch = Batch(messages, state, notes, part.size)
        self._open, self.is_full = _Part(), False
        self._handed.append(_Handed(batch, len(messages), part.size, part.weight))
        return batch

    def _decode(self, received: list[Message | CodedBody]) -> list[Message]:
        coded = [each for each in received if isinstance(each, CodedBody)]
        if not coded or self._plan.open_codec is None:
            return [each for each in received if isinstance(each, Message)]
        self._codec = self._codec or self._plan.open_codec(self._memory.codec_state)
        read = iter(read_bodies(self._codec, coded))
        messages: list[Message] = []
        for each in received:
            messages += [each] if isinstance(each, Message) else next(read)[0]
        self._memory.codec_state = dict(self._codec.state)
        return messages

    def _settle(self) -> None:
        while self._handed and self._handed[0].batch.committed:
            self._handed.popleft()

    def _weigh_all(self) -> int:
        return self._open.weight + sum(each.weight for each in self._handed)
