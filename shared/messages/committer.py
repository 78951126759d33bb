"""Committing the batches of one session in order, beside the receiving, and keeping its lease."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from shared.messages.session_summary import Summary
from shared.messages.store import LeaseHold, Store
from shared.provider.base import Batch
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.log import get_log

LEASE_SECONDS = 30
RENEW_SECONDS = 10
COMMIT_GRACE_SECONDS = 8


class Committer:
    """Commits batches in order on a thread of its own, so that receiving goes on meanwhile.

    After a failed commit nothing later is committed: a later state would claim what was never stored.
    """

    def __init__(self, database: Database, row: Mapping[str, Any], deadline: Deadline) -> None:
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        self.summary = Summary()
        self.tell_queued: Callable[[], None] = lambda: None
        self._database = database
        self._row = row
        self._store = Store(database, row["id"], LeaseHold(row["lease_token"], LEASE_SECONDS))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._commits: list[Future[None]] = []
        self._renewed = time.monotonic()
        self._failed = False

    def take(self, batch: Batch) -> None:
        """Commit `batch` soon; raises what an earlier commit raised."""
        self._check_commits()
        if batch.connect_ms is not None:
            self.summary.connect_ms = batch.connect_ms
        if batch.messages or batch.state is not None or batch.notes:
            self._commits.append(self._thread.submit(self._commit, batch))
        elif time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self._commits.append(self._thread.submit(self._renew))

    def wait(self) -> None:
        """Until everything taken is committed; raises what a commit raised."""
        for commit in self._commits:
            commit.result()

    def finish(self, error: str | None, pause: float = 0.0) -> None:
        """End the lease: due again after `pause` seconds, or later and later after errors. LeaseLost, NotFound."""
        self._database.call(
            "finish_session",
            p_integration_id=self._row["id"],
            p_lease_token=self._row["lease_token"],
            p_error=error,
            p_due_seconds=pause,
            p_summary=self.summary.describe(self.counts),
        )

    def close(self) -> None:
        """Drop what was not begun; the other side will send it again."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _check_commits(self) -> None:
        while self._commits and self._commits[0].done():
            self._commits.pop(0).result()

    def _commit(self, batch: Batch) -> None:
        if self._failed:
            return
        try:
            if batch.messages or batch.state is not None:
                self._store_batch(batch)
            batch.committed = True
            self.summary.add(batch)
            self._record_notes(batch)
        except Exception:
            self._failed = True
            raise

    def _store_batch(self, batch: Batch) -> None:
        grace = Deadline(self.deadline.remaining() + COMMIT_GRACE_SECONDS)
        counts = self._store.store_batch(batch.messages, batch.state, grace)
        self.counts.update(counts)
        if counts["deliveries"]:
            self.tell_queued()
        self._renewed = time.monotonic()

    def _record_notes(self, batch: Batch) -> None:
        if batch.notes:
            notes = [asdict(note) for note in batch.notes]
            self._database.call(
                "record_activity", p_integration_id=self._row["id"], p_kind="session", p_notes=notes
            )

    def _renew(self) -> None:
        try:
            self._database.call(
                "renew_session",
                p_integration_id=self._row["id"],
                p_lease_token=self._row["lease_token"],
                p_lease_seconds=LEASE_SECONDS,
            )
        except Unavailable:
            get_log().warning(
                "the lease could not be renewed; the next batch or renewal will tell whether it still holds"
            )
