"""Running due sessions side by side until the deadline."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.messages.committer import LEASE_SECONDS
from shared.messages.session import run_session
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log

SESSIONS_AT_ONCE = 200
"""Each has a thread, which sleeps while its broker is silent."""

TURN_SECONDS = 600.0
"""How long a session lasts at most: so that those beyond `SESSIONS_AT_ONCE` get their turn."""

LEASE_POLL_SECONDS = 0.25
MORE_POLL_SECONDS = 0.05
"""How long to wait where there may be more: time for another worker to take its share."""


def run_sessions(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Lease and run what is due, at most `SESSIONS_AT_ONCE` at a time; the sum of what `run_session` counts."""
    counts: Counter[str] = Counter()
    running: set[Future[Counter[str]]] = set()
    share = 1
    with ThreadPoolExecutor(SESSIONS_AT_ONCE, thread_name_prefix="session") as threads:
        while not deadline.expired:
            room = min(share, SESSIONS_AT_ONCE - len(running))
            rows = _lease(database, room, counts) if room else []
            for row in rows:
                running.add(threads.submit(run_session, row, database, deadline.within(TURN_SECONDS), pulse))
            # One first, then two, four …: so that workers side by side share what is due at the same moment.
            share = share * 2 if len(rows) == share else 1
            pause = MORE_POLL_SECONDS if share > 1 else LEASE_POLL_SECONDS
            time.sleep(min(pause, deadline.remaining()))
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
