"""The outbox of items: decoded by a codec where there is one, handed over with the cursor to go on from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from shared.provider import Batch, Bounds, Deadline, Message, NamedBody, Outbox, wait_for_codec, weigh_json
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.items import ItemDecoder
from shared.providers.grpc.plan import ReadPlan
from shared.providers.grpc.saved_state import Memory
from shared.providers.grpc.service import Service

BOUNDS = Bounds(messages=1_500, size=16_000_000)
LEAST_WEIGHT = 1_000


class ItemOutbox(Outbox):
    """Collects bodies to batches, and waits for their commits."""

    def __init__(self, decoder: ItemDecoder, memory: Memory, owner: str) -> None:
        super().__init__(BOUNDS, owner)
        self._decoder = decoder
        self._memory = memory
        self._bodies: list[NamedBody] = []
        self._kept: list[Message] = []

    def collect(self, event_id: str, body: bytes) -> None:
        """Put the body of an item into the open batch."""
        self.add(len(body), max(LEAST_WEIGHT, weigh_json(body)))
        self._bodies.append((event_id, body))

    def keep(self, event_id: str, body: bytes, reason: str) -> None:
        """The same of what can't be read."""
        self.add(len(body), 2 * len(body) + LEAST_WEIGHT)
        self._kept.append(self._decoder.keep(body, event_id, reason))

    def close_batch(self, deadline: Deadline, *, saves: bool = True) -> Iterator[Batch]:
        """The open batch, with the state as of now where it `saves` one; see `wait_for_codec`."""
        yield from wait_for_codec(partial(self._make_batch, saves=saves), deadline)

    def _make_batch(self, *, saves: bool) -> Batch:
        messages = [*self._decoder.decode(self._bodies), *self._kept]
        self._memory.codec_state = self._decoder.codec_state
        state = self._memory.save() if saves else None
        self._bodies, self._kept = [], []
        return self.hand(Batch(messages, state, self._memory.take_notes()))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a session reads with: by which plan, what it calls, and where what comes goes."""

    plan: ReadPlan
    service: Service
    method: Method
    memory: Memory
    outbox: ItemOutbox
    deadline: Deadline
