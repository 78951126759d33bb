"""Driving one leased integration: its provider's session, each batch committed before it is acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.database import Database
from shared.deadline import Deadline
from shared.errors import InvalidConfig, LeaseLost, NotFound, Problem, Unavailable
from shared.ingest import LeaseHold, Store
from shared.log import bind_log, clear_log, get_log
from shared.provider import Batch, Provider
from shared.pulse import Pulse
from shared.sealing import open_provider

LEASE_SECONDS = 30
RENEW_SECONDS = 10
COMMIT_GRACE_SECONDS = 8


def run_session(row: Mapping[str, Any], database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Run the session of a row of `lease_sessions` and finish its lease, whatever happens.

    The counts are those of `ingest_messages` plus `sessions`, `failed_sessions` and `parked`. Nothing raises:
    what goes wrong is written to the integration for its admin, or logged when the database is away.
    """
    clear_log()
    bind_log(integration=row["id"], organization=row["organization_id"])
    counts: Counter[str] = Counter()
    try:
        provider = _open_or_explain(row)
        if "session" not in provider.capabilities():
            database.call("park_session", p_integration_id=row["id"], p_lease_token=row["lease_token"])
            return Counter(parked=1)
        _drive(provider, row, _Committer(database, row, counts, deadline), pulse)
        _finish(database, row, None, getattr(provider, "poll_interval_seconds", 0))
        counts["sessions"] += 1
    except (LeaseLost, NotFound):
        # Changed, deactivated or deleted meanwhile, or taken over: whoever did that has the say now.
        counts["lost_leases"] += 1
    except Problem as problem:
        counts["failed_sessions"] += 1
        _explain_failure(database, row, problem)
    except Exception:  # noqa: BLE001 - one integration's defect must not end the others' tick
        get_log().exception("session failed")
        counts["failed_sessions"] += 1
        _explain_failure(database, row, Problem("The session failed on our side; the log has the details."))
    return counts


def _open_or_explain(row: Mapping[str, Any]) -> Provider:
    try:
        return open_provider(row)
    except InvalidConfig as invalid:
        wrong = "; ".join(f"{error.field}: {error.message}" for error in invalid.errors)
        raise Problem(f"The stored config is not valid, so nothing was connected: {wrong}") from None


def _drive(provider: Provider, row: Mapping[str, Any], committer: _Committer, pulse: Pulse) -> None:
    session = provider.session(row["state"], committer.deadline)
    committer.tell_queued = pulse.tell_queued
    try:
        with pulse.busy():
            batch = next(session, None)
        while batch is not None:
            if batch.messages:
                pulse.beat()
            committer.take(batch)
            batch = next(session, None)
        committer.wait()
    finally:
        session.close()  # type: ignore[attr-defined]
        committer.close()


class _Committer:
    """Commits batches in order on a thread of its own, so that receiving goes on meanwhile.

    After a failed commit nothing later is committed: a later state would claim what was never stored.
    """

    def __init__(
        self, database: Database, row: Mapping[str, Any], counts: Counter[str], deadline: Deadline
    ) -> None:
        self.deadline = deadline
        self.tell_queued: Callable[[], None] = lambda: None
        self._database = database
        self._row = row
        self._counts = counts
        self._store = Store(database, row["id"], LeaseHold(row["lease_token"], LEASE_SECONDS))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._commits: list[Future[None]] = []
        self._renewed = time.monotonic()
        self._failed = False

    def take(self, batch: Batch) -> None:
        """Commit `batch` soon; raises what an earlier commit raised."""
        self._check_commits()
        if batch.messages or batch.state is not None or batch.notes:
            self._commits.append(self._thread.submit(self._commit, batch))
        elif time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self._commits.append(self._thread.submit(self._renew))

    def wait(self) -> None:
        """Until everything taken is committed; raises what a commit raised."""
        for commit in self._commits:
            commit.result()

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
            self._record_notes(batch)
        except Exception:
            self._failed = True
            raise

    def _store_batch(self, batch: Batch) -> None:
        grace = Deadline(self.deadline.remaining() + COMMIT_GRACE_SECONDS)
        counts = self._store.store_batch(batch.messages, batch.state, grace)
        self._counts.update(counts)
        if counts["deliveries"]:
            self.tell_queued()
        self._renewed = time.monotonic()

    def _record_notes(self, batch: Batch) -> None:
        if batch.notes:
            notes = [{"level": note.level, "message": note.message} for note in batch.notes]
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


def _finish(database: Database, row: Mapping[str, Any], error: str | None, due_seconds: float) -> None:
    database.call(
        "finish_session",
        p_integration_id=row["id"],
        p_lease_token=row["lease_token"],
        p_error=error,
        p_due_seconds=due_seconds,
    )


def _explain_failure(database: Database, row: Mapping[str, Any], problem: Problem) -> None:
    get_log().warning("session failed", code=problem.code, detail=problem.detail)
    try:
        _finish(database, row, problem.detail, 0)
    except (LeaseLost, NotFound):
        return
    except Unavailable:
        get_log().warning("the failure could not be recorded; the lease runs out by itself")
