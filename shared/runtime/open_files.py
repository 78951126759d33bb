"""How many files a process may have open: each connection is one."""

from __future__ import annotations

import resource

OPEN_FILES = 8_192
"""Each request under way has a connection, and many systems begin with 1,024 for all that a process does."""


def allow_files() -> int:
    """Let the process open `OPEN_FILES`, or as many as it may allow itself where that is less; how many it may now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if resource.RLIM_INFINITY != soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
