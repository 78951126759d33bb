"""Whether anything is going on: a tick may end early once nothing has happened for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """Beaten whenever something happens; busy while something has begun that will happen. Thread-safe."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._busy = 0
        self._lock = threading.Lock()
        self._queued: Callable[[], None] | None = None

    def beat(self) -> None:
        """Something happened just now."""
        self._last = time.monotonic()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Nothing counts as idle until the block is left, which is a beat of its own."""
        self._count(1)
        try:
            yield
        finally:
            self.beat()
            self._count(-1)

    @contextmanager
    def on_queued(self, wake: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `wake` is called (from any thread) when something was queued."""
        self._queued = wake
        try:
            yield
        finally:
            self._queued = None

    def tell_queued(self) -> None:
        """Something was queued and committed; who waits for it need not wait until its next look."""
        wake = self._queued
        if wake:
            wake()

    def idle_seconds(self) -> float:
        """Seconds since the last beat; 0 while busy."""
        return 0.0 if self._busy else time.monotonic() - self._last

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change
