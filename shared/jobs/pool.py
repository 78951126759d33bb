"""Doing due jobs side by side until the deadline, and beginning those that are planned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.jobs.job import LEASE_SECONDS
from shared.jobs.kinds import find_kind, list_kinds
from shared.jobs.run import FindKind, run_job
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log

JOBS_AT_ONCE = 8
POLL_SECONDS = 0.25
RENEW_SECONDS = 10.0
PLAN_SECONDS = 10.0


def run_jobs(
    database: Database, deadline: Deadline, pulse: Pulse, find: FindKind = find_kind
) -> Counter[str]:
    """Do what is due, at most `JOBS_AT_ONCE` at a time; what `run_job` counts, and `planned`.

    A job that is under way at the deadline stops at its next step; this returns once all have.
    """
    work = _Work(database)
    next_plan = time.monotonic()
    with ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="job") as threads:
        while not deadline.expired:
            if time.monotonic() >= next_plan:
                next_plan = time.monotonic() + PLAN_SECONDS
                work.plan()
            for row in work.lease():
                work.running[threads.submit(_run, row, find, database, deadline, pulse)] = row
            work.look_after()
            time.sleep(min(POLL_SECONDS, deadline.remaining()))
        while work.running:
            work.look_after()
            time.sleep(POLL_SECONDS / 10)
    return work.counts


def _run(
    row: Mapping[str, Any], find: FindKind, database: Database, deadline: Deadline, pulse: Pulse
) -> Counter[str]:
    with pulse.busy():
        return run_job(row, find, database, deadline)


class _Work:
    """What is under way in this process: leased, renewed, counted."""

    def __init__(self, database: Database) -> None:
        self.counts: Counter[str] = Counter()
        self.running: dict[Future[Counter[str]], Mapping[str, Any]] = {}
        self._database = database
        self._renewed = time.monotonic()

    def plan(self) -> None:
        """Begin what is due by a plan, of every kind that has one."""
        for plan in filter(None, (find_kind(name).plan for name in list_kinds())):
            if planned := self._call(plan):
                self.counts["planned"] += planned

    def lease(self) -> list[dict[str, Any]]:
        """As many due jobs as there is room for."""
        room = JOBS_AT_ONCE - len(self.running)
        rows = self._call("lease_jobs", p_limit=room, p_lease_seconds=LEASE_SECONDS) if room else None
        return rows or []

    def look_after(self) -> None:
        """Count what has ended, and keep the leases of what has not."""
        for job in [job for job in self.running if job.done()]:
            del self.running[job]
            self.counts.update(job.result())
        if self.running and time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            leases = [{"id": row["id"], "lease_token": row["lease_token"]} for row in self.running.values()]
            self._call("renew_jobs", p_leases=leases, p_lease_seconds=LEASE_SECONDS)

    def _call(self, function: str, **arguments: Any) -> Any:
        try:
            return self._database.call(function, **arguments)
        except Problem as problem:
            get_log().warning(f"{function} failed", code=problem.code, detail=problem.detail)
            self.counts["failed_calls"] += 1
            return None
