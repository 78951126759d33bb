"""A long-running process for fleets that outgrow ticks: one tick after another, until SIGTERM hands over.

`python -m shared.scheduler.worker`, in the environment of the scheduler function. Any number may run, beside ticks too:
leases in Postgres share the work.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.log import get_log
from shared.scheduler.tick import run_tick

TICK_SECONDS = 3_600.0
"""How often it says in the log what it has done; between two ticks everything that is under way ends first."""

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
            self._deadline = Deadline(TICK_SECONDS)
            get_log().info("tick", **run_tick(database, self._deadline, None))

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Begin no more and end what is under way; callable as a signal handler."""
        self._stopping = True
        self._deadline.shorten()


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    sys.setswitchinterval(SWITCH_SECONDS)
    worker = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.stop)
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
