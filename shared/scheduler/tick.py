"""One tick of the scheduler: sessions, commands, jobs, deliveries and maintenance, side by side, until the deadline."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

from shared.commands.sending import run_commands
from shared.deliveries import dispatch_deliveries
from shared.jobs.pool import run_jobs
from shared.messages.session_pool import run_sessions
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from shared.scheduler.bodies import TickReport
from shared.scheduler.retention import run_maintenance

ENDING_SECONDS = 1.0
"""Kept of the tick for sessions to commit, acknowledge and disconnect."""

LAST_LOOK_SECONDS = 0.3
"""For the deliveries, once the sessions of an idle tick have ended."""


def run_tick(database: Database, deadline: Deadline, idle_seconds: float | None) -> TickReport:
    """Run one tick until `deadline`, less when nothing happened for `idle_seconds`; what it did, by part."""
    pulse, seconds = Pulse(), deadline.remaining()
    work = deadline.within(max(seconds - ENDING_SECONDS, seconds / 2))
    with ThreadPoolExecutor(5, thread_name_prefix="tick") as threads:
        sessions = threads.submit(run_sessions, database, work, pulse)
        commands = threads.submit(run_commands, database, work, pulse)
        jobs = threads.submit(run_jobs, database, work, pulse)
        deliveries = threads.submit(asyncio.run, dispatch_deliveries(database, deadline, pulse))
        maintenance = threads.submit(run_maintenance, database, work)
        _watch(work, pulse, idle_seconds, sessions)
        session_counts = sessions.result()
        if idle_seconds is not None:
            deadline.shorten(LAST_LOOK_SECONDS)
        return {
            "sessions": dict(session_counts),
            "commands": dict(commands.result()),
            "jobs": dict(jobs.result()),
            "deliveries": dict(deliveries.result()),
            "maintenance": maintenance.result(),
        }


def _watch(
    deadline: Deadline, pulse: Pulse, idle_seconds: float | None, sessions: Future[Counter[str]]
) -> None:
    stopped = threading.Event()
    sessions.add_done_callback(lambda _: stopped.set())
    while not deadline.expired and not stopped.is_set():
        if idle_seconds is not None and pulse.idle_seconds() >= idle_seconds:
            deadline.shorten()
        stopped.wait(min(0.05, deadline.remaining()))
