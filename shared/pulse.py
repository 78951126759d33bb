"""Whether anything is going on: a tick may end early once nothing has happened for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """Beaten whenever something happens; busy while something has begun that will happen. Thread-safe."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._busy = 0
        self._lock = threading.Lock()

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

    def idle_seconds(self) -> float:
        """Seconds since the last beat; 0 while busy."""
        return 0.0 if self._busy else time.monotonic() - self._last

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change
