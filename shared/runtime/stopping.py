"""What this process is told to stop: long work that ends early, and cleanly, instead of being killed in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.runtime.deadline import Deadline

LEFT_SECONDS = 5.0
"""For what is under way. Of the 10 s that Cloud Run gives, sessions need some more to commit and leave brokers."""

_open: set[Deadline] = set()
_lock = threading.Lock()


@contextmanager
def ends_with_process(deadline: Deadline) -> Iterator[Deadline]:
    """While the block runs, `stop_all` shortens `deadline`."""
    with _lock:
        _open.add(deadline)
    try:
        yield deadline
    finally:
        with _lock:
            _open.discard(deadline)


def stop_all() -> None:
    """End what is under way in LEFT_SECONDS. Called by a signal handler, so it takes no lock that may be held."""
    for deadline in tuple(_open):
        deadline.shorten(LEFT_SECONDS)
