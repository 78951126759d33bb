"""Requests that could not be proven, counted by integration, so that an admin hears of many without a call for each.

The counts are of this process, and in its memory alone: what is lost with it is a warning, no data.
"""

from __future__ import annotations

BURST = 50
"""Refused requests within `WINDOW_SECONDS` that somebody should hear of."""

WINDOW_SECONDS = 3_600.0
INTEGRATIONS = 1_000
"""Counted at a time; beyond, the one that was quiet for longest is forgotten."""


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
