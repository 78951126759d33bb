"""One tick of the scheduler: due sessions, due deliveries and maintenance, side by side, until the deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.database import Database
from shared.deadline import Deadline
from shared.deliveries import dispatch_deliveries
from shared.errors import Problem
from shared.log import get_log
from shared.pulse import Pulse
from shared.resealing import reseal_some
from shared.sessions import LEASE_SECONDS, run_session

SESSIONS_AT_ONCE = 64
LEASE_POLL_SECONDS = 0.25
ENDING_SECONDS = 1.0
"""Kept of the tick for sessions to commit, acknowledge and disconnect."""

LAST_LOOK_SECONDS = 0.3
"""For the deliveries, once the sessions of an idle tick have ended."""


def run_tick(database: Database, seconds: float, idle_seconds: float | None) -> dict[str, dict[str, Any]]:
    """Run one tick of at most `seconds`, less when nothing happened for `idle_seconds`; what it did, by part."""
    deadline, pulse = Deadline(seconds), Pulse()
    work = deadline.within(max(seconds - ENDING_SECONDS, seconds / 2))
    with ThreadPoolExecutor(3, thread_name_prefix="tick") as threads:
        sessions = threads.submit(_run_sessions, database, work, pulse)
        deliveries = threads.submit(asyncio.run, dispatch_deliveries(database, deadline, pulse))
        maintenance = threads.submit(_run_maintenance, database, work)
        _watch(work, pulse, idle_seconds, sessions)
        session_counts = sessions.result()
        if idle_seconds is not None:
            deadline.shorten(LAST_LOOK_SECONDS)
        return {
            "sessions": dict(session_counts),
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


def _run_sessions(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    counts: Counter[str] = Counter()
    running: set[Future[Counter[str]]] = set()
    with ThreadPoolExecutor(SESSIONS_AT_ONCE, thread_name_prefix="session") as threads:
        while not deadline.expired:
            room = SESSIONS_AT_ONCE - len(running)
            for row in _lease(database, room, counts) if room else ():
                running.add(threads.submit(run_session, row, database, deadline, pulse))
            time.sleep(min(LEASE_POLL_SECONDS, deadline.remaining()))
            ended = {session for session in running if session.done()}
            running -= ended
            for session in ended:
                counts.update(session.result())
    for session in running:
        counts.update(session.result())
    return counts


def _lease(database: Database, room: int, counts: Counter[str]) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = database.call(
            "lease_sessions", p_limit=room, p_lease_seconds=LEASE_SECONDS
        )
    except Problem as problem:
        get_log().warning("sessions could not be leased", code=problem.code, detail=problem.detail)
        counts["failed_leases"] += 1
        return []
    return rows


def _run_maintenance(database: Database, deadline: Deadline) -> dict[str, Any]:
    try:
        return {**database.call("prune_messages"), **reseal_some(database, deadline)}
    except Problem as problem:
        get_log().warning("maintenance was put off", code=problem.code, detail=problem.detail)
        return {"put_off": problem.code}
