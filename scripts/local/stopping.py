"""Ctrl-C and SIGTERM as an exception that is heard wherever it comes in, and once only."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN_SECONDS = 0.5


class Stopped(BaseException):
    """Somebody asked us to stop; not an Exception, so that nothing on the way takes it for a failure."""


def listen_for_stop() -> None:
    """From now on the main thread gets Stopped when it is asked to stop."""
    sys.unraisablehook = _report_dropped
    for each in STOP_SIGNALS:
        signal.signal(each, _stop)


def hear_stop() -> None:
    """Nothing more interrupts what is done to stop: to be called first in whatever ends things."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    # A second, impatient Ctrl-C must not cut the stop short: it would leave Postgres behind.
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    # What is raised within a finaliser or a callback of the interpreter's is lost: again, until it is heard.
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    raise Stopped


def _report_dropped(dropped: sys.UnraisableHookArgs) -> None:
    """Where the interpreter drops an exception it prints it with its traceback: of ours there is nothing to say."""
    if not issubclass(dropped.exc_type, Stopped):
        sys.__unraisablehook__(dropped)
