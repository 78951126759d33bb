"""Shares: how much of what a process has places for one organization may take, as switches share their buffers.

A dynamic threshold: an organization takes no more while it holds more than `greed` times what is free. So whoever is
alone has most of the places, however many come have as many each in the end, and then there is one for somebody new.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TypedDict


class ShareLimits(TypedDict):
    """`p_shares` of the functions that lease: how many more each organization may have, and those that have some."""

    each: int
    of: dict[str, int]


class Shares:
    """Places of one kind, and bytes: who holds how many. Not thread-safe: its loop's own."""

    def __init__(self, places: int, size: int = 0, greed: float = 1.0) -> None:
        self._most = places
        self._most_bytes = size
        self._greed = greed
        self._held: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """Places that nobody holds."""
        return self._most - self._held.total()

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody holds."""
        return self._most_bytes - self._bytes.total()

    def take(self, organization_id: str, size: int = 0) -> None:
        """One place, with so many bytes, is an organization's now."""
        self._held[organization_id] += 1
        self._bytes[organization_id] += size

    def hold_more(self, organization_id: str, size: int) -> None:
        """So many more bytes are of a place that it has."""
        self._bytes[organization_id] += size

    def give_back(self, organization_id: str, size: int = 0) -> None:
        """It is nobody's again."""
        _take_off(self._held, organization_id, 1)
        _take_off(self._bytes, organization_id, size)

    def find_room(self, most: int) -> int:
        """How many may be taken at once, whoever takes them: never all that is free, but for the last place."""
        return min(most, max(min(self.free, 1), self._find_share(self.free, 0)))

    def limit(self) -> ShareLimits:
        """How many more each may take."""
        free, free_bytes = self.free, self.free_bytes
        return {
            "each": max(min(free, 1), self._find_share(free, 0)),
            "of": {
                name: self._find_share(free, held)
                if not self._most_bytes or self._bytes[name] < self._greed * free_bytes
                else 0
                for name, held in self._held.items()
            },
        }

    def _find_share(self, free: int, held: int) -> int:
        """As many as leave it with no more than `greed` times what is free then."""
        return max(0, math.floor((self._greed * free - held) / (1 + self._greed)))


def _take_off(counted: Counter[str], organization_id: str, given: int) -> None:
    if (left := counted[organization_id] - given) > 0:
        counted[organization_id] = left
    else:
        del counted[organization_id]
