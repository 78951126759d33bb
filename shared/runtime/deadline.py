"""A moment by which work must have ended, that can still be moved nearer from outside."""

from __future__ import annotations

import time

LOOK_SECONDS = 0.05


class Deadline:
    """Counts down on the monotonic clock, never past its `parent`. `shorten` may be called from another thread."""

    def __init__(self, seconds: float, parent: Deadline | None = None) -> None:
        self._ends = time.monotonic() + seconds
        self._parent = parent

    def remaining(self) -> float:
        """Seconds left, never negative."""
        own = max(0.0, self._ends - time.monotonic())
        return min(own, self._parent.remaining()) if self._parent else own

    @property
    def expired(self) -> bool:
        """Whether the moment has come."""
        return self.remaining() == 0.0

    def shorten(self, seconds: float = 0.0) -> None:
        """End in `seconds` from now at the latest."""
        self._ends = min(self._ends, time.monotonic() + seconds)

    def wait(self) -> None:
        """Sleep until it has come, at most `LOOK_SECONDS` longer where it is shortened meanwhile."""
        while not self.expired:
            time.sleep(min(LOOK_SECONDS, self.remaining()))

    def within(self, seconds: float) -> Deadline:
        """A deadline that also ends in `seconds`, and still follows this one when it is shortened."""
        return Deadline(seconds, self)
