"""Requests that could not be proven, counted: an admin hears of many without a call for each, their sender has to wait.

The counts are of this process, and in its memory alone: what is lost with it is a warning, no data.
"""

from __future__ import annotations

import threading

BURST = 50
"""Refused requests within `WINDOW_SECONDS` that somebody should hear of."""

WINDOW_SECONDS = 3_600.0
INTEGRATIONS = 1_000
"""Counted at a time; beyond, the one that was quiet for longest is forgotten."""


MINUTE = 60.0
TRIES_OF_BOTH, TRIES_OF_ADDRESS, TRIES_AT_INTEGRATION = 300, 600, 1_500
"""Refused requests a minute: of one address at one integration, of one address, and at one integration."""

ADDRESSES = 10_000
"""Counted at a time, with the integrations and both together."""


class Refusals:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, int]] = {}
        self._bursts: set[str] = set()

    def add(self, integration_id: str, now: float) -> None:
        """Count one. `now` is in seconds, of any clock that only goes on."""
        since, count = self._counts.pop(integration_id, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
        self._counts[integration_id] = (since, count + 1)
        if count + 1 == BURST:
            self._bursts.add(integration_id)
        if len(self._counts) > INTEGRATIONS:
            del self._counts[next(iter(self._counts))]

    def list_bursts(self) -> list[str]:
        """The integrations with a burst that was not forgotten yet; each once in a window."""
        return sorted(self._bursts)

    def forget_bursts(self, integration_ids: list[str]) -> None:
        """They have been told."""
        self._bursts.difference_update(integration_ids)


class Tries:
    """Who is refused too often. Nobody is refused for that: a request that is proven passes, whoever else tries."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def add(self, integration_id: str, address: str, now: float) -> int:
        """Count a refused request; for how many seconds its sender should wait, 0 where that is not too often."""
        limits = {
            (integration_id, address): TRIES_OF_BOTH,
            ("", address): TRIES_OF_ADDRESS,
            (integration_id, ""): TRIES_AT_INTEGRATION,
        }
        with self._lock:
            waits = [self._count(key, most, now) for key, most in limits.items()]
            while len(self._counts) > ADDRESSES:
                del self._counts[next(iter(self._counts))]
        return max(waits)

    def name_owner(self, integration_id: str, address: str, now: float) -> str:
        """Whose a request is in the order of those that wait: all of an address that tries too often are one."""
        since, count = self._counts.get(("", address), (now, 0))
        return f"address {address}" if count > TRIES_OF_ADDRESS and now - since < MINUTE else integration_id

    def _count(self, key: tuple[str, str], most: int, now: float) -> int:
        since, count = self._counts.pop(key, (now, 0))
        if now - since >= MINUTE:
            since, count = now, 0
        self._counts[key] = (since, count + 1)
        return int(since + MINUTE - now) + 1 if count >= most else 0
