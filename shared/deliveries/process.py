"""What the dispatcher sets for its whole process: how often garbage is looked for, how many files may be open."""

from __future__ import annotations

import gc
import resource

COLLECT_AFTER = 50_000
"""Hundreds of requests under way look like a leak: with Python's usual 700, looking for it took a fifth of the time."""

OPEN_FILES = 8_192
"""Each request under way has a connection, and many systems begin with 1,024 for all that a process does."""


def set_collector() -> None:
    """Let the garbage collector look for cycles less often."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


def allow_files() -> None:
    """Let the process open `OPEN_FILES`, or as many as it may allow itself where that is less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if resource.RLIM_INFINITY != soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
