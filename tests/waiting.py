"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 120.0


def wait_until(is_done: Callable[[], object], complaint: str, pause: float = 0.02) -> None:
    """Ask again and again until it is so; AssertionError with the complaint when it takes too long."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < ends, complaint
        time.sleep(pause)
