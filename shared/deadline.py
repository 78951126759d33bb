"""A moment by which work must have ended, that can still be moved nearer from outside."""

from __future__ import annotations

import time


class Deadline:
    """Counts down on the monotonic clock. `shorten` may be called from another thread."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has come."""
        return time.monotonic() >= self._ends

    def shorten(self, seconds: float = 0.0) -> None:
        """End in `seconds` from now at the latest."""
        self._ends = min(self._ends, time.monotonic() + seconds)
