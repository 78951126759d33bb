"""The queue that a broker has kept for us while we were away: whether it may have overflowed."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from shared.providers.mqtt.saved_state import Memory

DRY_SECONDS = 0.25


class BrokerQueue:
    """Counts what comes, until nothing has come for a while though nothing is unacknowledged."""

    def __init__(self, memory: Memory, limits: AbstractSet[int]) -> None:
        self._memory = memory
        self._limits = limits
        self._stored: int | None = None

    def begin(self, *, is_kept: bool) -> None:
        """A connection is open; `is_kept` says that the broker has kept our session, and its queue."""
        self._stored = 0 if is_kept else None

    def count(self, received: int, waited: float, *, is_idle: bool) -> None:
        """So many were received after waiting `waited` seconds; `is_idle` says that nothing is under way."""
        if self._stored is None:
            return
        self._stored += received
        if received or waited < DRY_SECONDS or not is_idle:
            return
        if self._stored in self._limits:
            self._memory.note(
                "warning",
                f"Exactly {self._stored} messages were waiting at the broker: its queue may have overflowed. Poll "
                "more often, lengthen session_seconds, use the worker, or raise the broker's queue limit.",
                alert="broker.overflowed",
            )
        self._stored = None
