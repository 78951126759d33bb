"""A long-running process for fleets that outgrow ticks: one tick after another, until SIGTERM hands over.

`python -m shared.scheduler.worker`, in the environment of the scheduler function. Any number may run, beside ticks too:
leases in Postgres share the work.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from types import FrameType

from shared.runtime.database.access import SERVICE_KEY, check_access
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.log import get_log
from shared.runtime.start import check_start
from shared.scheduler.tick import run_tick

TICK_SECONDS = 3_600.0
"""How often it says in the log what it has done; between two ticks everything that is under way ends first."""

AWAY_SECONDS = 60.0
LOOK_SECONDS = 0.5

SWITCH_SECONDS = 0.001
"""A commit has to wait for the interpreter whenever the network has answered it, by default for 5 ms while a session
receives: a batch then took a fifth longer."""


class Worker:
    """Ticks until it is told to stop; then sessions commit, acknowledge, and leave their brokers cleanly."""

    def __init__(self) -> None:
        self._deadline = Deadline(TICK_SECONDS)
        self._stopping = False

    def run(self) -> None:
        """Returns once it was told to stop and everything under way has ended."""
        database = as_service()
        while not self._stopping:
            self._wait_for_access()
            self._deadline = Deadline(TICK_SECONDS)
            if self._stopping:
                # Told while it had no tick yet whose deadline could be shortened.
                return
            get_log().info("tick", **run_tick(database, self._deadline, None))

    def _wait_for_access(self) -> None:
        """Problem where nothing can be done: a refused key at once, a database that is away after AWAY_SECONDS."""
        patience = Deadline(AWAY_SECONDS)
        while not self._stopping:
            try:
                check_access(SERVICE_KEY)
            except Unavailable:
                if patience.expired:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                return

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Begin no more and end what is under way; callable as a signal handler."""
        self._stopping = True
        self._deadline.shorten()


def main() -> int:
    """Run until SIGTERM or SIGINT; 1, with the variable to look at in the log, where nothing can be done."""
    sys.setswitchinterval(SWITCH_SECONDS)
    worker = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.stop)
    try:
        check_start("worker")
        # What is loaded by now stays: looking through it, the collector would stop all that is under way.
        gc.freeze()
        worker.run()
    except (RuntimeError, Problem) as error:
        get_log().critical(str(error), function="worker")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
