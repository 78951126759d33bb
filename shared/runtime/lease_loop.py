"""Lease, work, renew (the heartbeat), until the deadline: the loop of sessions, commands and jobs.

A lease is a row that is nobody else's for some seconds, under a token that fences late workers. Whatever one row or one
call to the database does, the loop goes on: what is leased and never finished is due again once its lease runs out.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import ClassVar, Generic, TypeVar

from shared.runtime.database.client import Database
from shared.runtime.database.leases import Leases, Unread
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.log import get_log
from shared.runtime.shares import Shares

POLL_SECONDS = 0.25
RENEW_SECONDS = 10.0
GRACE_SECONDS = 8.0
"""How long results are kept after the deadline, for a database that is away just then."""

Row = TypeVar("Row")
Ended = TypeVar("Ended")
Given = TypeVar("Given")


class LeaseLoop(ABC, Generic[Row, Ended]):
    """Works on up to `at_once` rows side by side, each in a thread; `counts` is what `run` returns in the end.

    An exception of `lease`, `work`, `finish` or `renew` is logged, and counted as `failed_leases`, `broken` or
    `failed_calls`.
    """

    name: ClassVar[str]
    """What a row is, for threads and the log."""

    is_eager: ClassVar[bool] = False
    """Whether to lease again as soon as everything under way has ended, even before the pause is over."""

    keeps_results: ClassVar[bool] = False
    """Whether results are kept while the database is away, where a lost one would have the work done twice."""

    def __init__(self, database: Database, deadline: Deadline, at_once: int, greed: float = 1.0) -> None:
        self.counts: Counter[str] = Counter()
        self.database = database
        self.deadline = deadline
        self.shares = Shares(at_once, greed=greed)
        self._at_once = at_once
        self._running: dict[Future[Ended | None], tuple[str, Row]] = {}
        self._unrecorded: list[Ended] = []
        self._renewed = time.monotonic()

    @abstractmethod
    def lease(self, room: int) -> Sequence[Row]:
        """Lease up to `room` rows of what is due."""

    @abstractmethod
    def work(self, row: Row) -> Ended:
        """All there is to do for one row, in a thread of its own; it sees to it that it ends by the deadline."""

    @abstractmethod
    def finish(self, ended: list[Ended]) -> None:
        """Count what has ended since the last time, and record it where `work` has not."""

    def name_owner(self, _row: Row) -> str:
        """The organization of a row: what it holds counts for the `shares`, which `lease` passes on."""
        return ""

    def renew(self, rows: list[Row]) -> None:
        """Keep the leases of what is under way; called every `RENEW_SECONDS`."""

    def refuse(self, unread: Unread) -> None:
        """End the lease of a row that can't be read, with the reason."""

    def keep_readable(self, leases: Leases[Given]) -> list[Given]:
        """The rows of an answer; the leases of those that can't be read are ended, each by itself."""
        for unread in leases.unread:
            self.counts["unread"] += 1
            self.attempt("failed_calls", partial(self.refuse, unread))
        return leases.rows

    def find_room(self) -> int:
        """How many rows may be leased now."""
        return self._at_once - len(self._running) - len(self._unrecorded)

    def find_pause(self) -> float:
        """Seconds until the next lease."""
        return POLL_SECONDS

    def run(self) -> Counter[str]:
        """Work until the deadline; returns once everything under way has ended."""
        with ThreadPoolExecutor(self._at_once, thread_name_prefix=self.name) as threads:
            while not self.deadline.expired:
                room = self.find_room()
                rows = self.attempt("failed_leases", partial(self.lease, room)) if room > 0 else None
                for row in rows or ():
                    self.attempt("broken", partial(self._begin, threads, row))
                self._rest(min(self.find_pause(), self.deadline.remaining()))
                self._look_after()
            while self._running:
                wait(self._running, POLL_SECONDS)
                self._look_after()
        grace = Deadline(GRACE_SECONDS)
        while self._unrecorded and not grace.expired:
            time.sleep(POLL_SECONDS)
            self._look_after()
        return self.counts

    def record(self, results: list[Ended]) -> None:
        """`finish` what has ended; with `keeps_results`, what can't be recorded just now is kept for the next time."""
        try:
            self.finish(results)
        except Unavailable:
            if self.keeps_results:
                self._unrecorded += results
            raise

    def keep(self, results: Sequence[Ended]) -> None:
        """Have `finish` called with these once more, the next time."""
        self._unrecorded += results

    def attempt(self, count: str, call: Callable[[], Given]) -> Given | None:
        """What `call` gives; None, one more in `count` and a line in the log where it fails."""
        try:
            return call()
        except Problem as problem:
            get_log().warning(f"{self.name}: {count}", code=problem.code, detail=problem.detail)
        except Exception:  # noqa: BLE001 - no call may end the loop, and everybody's work with it
            get_log().exception(f"{self.name}: {count}")
        self.counts[count] += 1
        return None

    def _begin(self, threads: ThreadPoolExecutor, row: Row) -> None:
        owner = self.name_owner(row)
        self._running[threads.submit(self._work, row)] = (owner, row)
        self.shares.take(owner)

    def _work(self, row: Row) -> Ended | None:
        try:
            return self.work(row)
        except BaseException:  # noqa: BLE001 - nor may a row, were it by an exit or a cancellation in its thread
            get_log().exception(f"a {self.name} broke off")
            return None

    def _rest(self, seconds: float) -> None:
        if self.is_eager and self._running:
            wait(self._running, seconds)
        else:
            time.sleep(seconds)

    def _look_after(self) -> None:
        """Finish what has ended, and keep the leases of what has not."""
        ended = [each for each in self._running if each.done()]
        results = [result for each in ended if (result := each.result()) is not None]
        for each in ended:
            self.shares.give_back(self._running.pop(each)[0])
        if len(results) < len(ended):
            self.counts["broken"] += len(ended) - len(results)
        if results := [*self._unrecorded, *results]:
            self._unrecorded = []
            self.attempt("failed_calls", partial(self.record, results))
        if self._running and time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self.attempt("failed_calls", partial(self.renew, [row for _, row in self._running.values()]))
