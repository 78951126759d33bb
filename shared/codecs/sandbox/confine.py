"""How a child limits itself, once, before it reads anything: from then on it can open nothing and start nothing."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from shared.codecs.limits import CHILD_BYTES


def confine() -> None:
    """Give up what a decoder has no use for. Whatever it needs must have been imported before."""
    os.environ["TZ"] = "UTC0"
    time.tzset()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, CHILD_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    # No descriptor can be made any more: no file is opened and no socket. Those that are open stay.
    _limit(resource.RLIMIT_NOFILE, 0)


def measure_peak() -> int:
    """The most memory this process ever had, in bytes; on Linux that of the process that forked it counts too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))
