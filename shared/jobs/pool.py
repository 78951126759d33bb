"""Doing due jobs side by side until the deadline, and beginning those that are planned."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

from shared.jobs.job import LEASE_SECONDS, LeasedJob
from shared.jobs.kinds import find_kind, list_kinds
from shared.jobs.run import FindKind, run_job
from shared.runtime.database.client import Database
from shared.runtime.database.leases import UNREAD, Unread
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from shared.runtime.lease_loop import LeaseLoop

JOBS_AT_ONCE = 16
"""Of which an organization that is alone has half: however slow its platforms are, another's jobs find places."""

PLAN_SECONDS = 10.0


def run_jobs(
    database: Database, deadline: Deadline, pulse: Pulse, find: FindKind = find_kind
) -> Counter[str]:
    """Do what is due, at most `JOBS_AT_ONCE` at a time; what `run_job` counts, and `planned`.

    A job that is under way at the deadline stops at its next step; this returns once all have.
    """
    return _Jobs(database, deadline, pulse, find).run()


class _Jobs(LeaseLoop[LeasedJob, Counter[str]]):
    name = "job"

    def __init__(self, database: Database, deadline: Deadline, pulse: Pulse, find: FindKind) -> None:
        super().__init__(database, deadline, JOBS_AT_ONCE)
        self._pulse = pulse
        self._find = find
        self._next_plan = time.monotonic()

    def lease(self, room: int) -> list[LeasedJob]:
        if time.monotonic() >= self._next_plan:
            self._next_plan = time.monotonic() + PLAN_SECONDS
            self._plan()
        leases = self.database.lease(
            "lease_jobs",
            p_limit=self.shares.find_room(room),
            p_lease_seconds=LEASE_SECONDS,
            p_shares=self.shares.limit(),
        )
        return self.keep_readable(leases)

    def name_owner(self, row: LeasedJob) -> str:
        return row["integration"]["organization_id"]

    def refuse(self, unread: Unread) -> None:
        names = {"p_job_id": unread.id, "p_lease_token": unread.lease_token}
        self.database.call("finish_job", **names, p_outcome="failed", p_error=UNREAD)

    def work(self, row: LeasedJob) -> Counter[str]:
        with self._pulse.busy():
            return run_job(row, self._find, self.database, self.deadline)

    def finish(self, ended: list[Counter[str]]) -> None:
        for counts in ended:
            self.counts.update(counts)

    def renew(self, rows: list[LeasedJob]) -> None:
        leases = [{"id": row["id"], "lease_token": row["lease_token"]} for row in rows]
        self.database.call("renew_jobs", p_leases=leases, p_lease_seconds=LEASE_SECONDS)

    def _plan(self) -> None:
        """Begin what is due by a plan, of every kind that has one."""
        for plan in filter(None, (find_kind(name).plan for name in list_kinds())):
            if planned := self.attempt("failed_calls", partial(self.database.call, plan)):
                self.counts["planned"] += planned
