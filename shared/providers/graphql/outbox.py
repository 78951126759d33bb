"""Batches on their way to being committed, and how much of them there may be before more is read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.provider import SMALL, Batch, Deadline, NamedBody, load_budget, weigh_json

MOST_MESSAGES, MOST_BYTES = 2_000, 16_000_000
"""Of what is handed over and not committed."""

POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class _Handed:
    batch: Batch
    weight: int


class Outbox:
    """Hands batches over, and waits for their commits where there are too many; for one session."""

    def __init__(self, owner: str) -> None:
        self._handed: deque[_Handed] = deque()
        self._holding = load_budget().open(owner)

    def close(self) -> None:
        """Give back what memory it holds."""
        self._holding.close()

    def hand(self, batch: Batch, bodies: Sequence[NamedBody] = ()) -> Iterator[Batch]:
        """Hand over `batch`, made of `bodies`; then a sign of life again and again until there is room for more."""
        self._handed.append(_Handed(batch, sum(weigh_json(body) for _, body in bodies)))
        yield batch
        while not self._has_room():
            yield Batch()
            time.sleep(POLL_SECONDS)

    def wait(self, patience: Deadline) -> Iterator[Batch]:
        """Until all is committed, or patience has ended."""
        while self._settle() and not patience.expired:
            yield Batch()
            time.sleep(POLL_SECONDS)

    def _has_room(self) -> bool:
        if not self._settle():
            return True
        count = sum(len(each.batch.messages) for each in self._handed)
        size = sum(each.batch.received_bytes for each in self._handed)
        weight = sum(each.weight for each in self._handed)
        if weight > SMALL:
            self._holding.hold(weight)
        return count < MOST_MESSAGES and size < MOST_BYTES and self._holding.has_room(2 * weight)

    def _settle(self) -> bool:
        """Whether anything is not committed yet."""
        while self._handed and self._handed[0].batch.committed:
            self._handed.popleft()
        if not self._handed:
            self._holding.close()
        return bool(self._handed)
