"""Whether anything is going on: a tick may end early once nothing has happened for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


class Pulse:
    """Beaten whenever something happens; busy while something has begun that will happen. Thread-safe."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._busy = 0
        self._block = _Block(self)
        self._lock = threading.Lock()
        self._queued: Callable[[], None] | None = None

    def beat(self) -> None:
        """Something happened just now."""
        self._last = time.monotonic()

    def busy(self) -> AbstractContextManager[None]:
        """Nothing counts as idle until the block is left, which is a beat of its own."""
        return self._block

    def count_busy(self, change: int) -> None:
        """So many more blocks are under way."""
        with self._lock:
            self._busy += change

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


class _Block(AbstractContextManager[None]):
    """What `busy` gives, to any number at once; one generator a delivery would cost twice as much."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def __enter__(self) -> None:
        self._pulse.count_busy(1)

    def __exit__(self, *_: object) -> None:
        self._pulse.beat()
        self._pulse.count_busy(-1)
