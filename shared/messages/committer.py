"""Committing the batches of a session in order, beside the receiving; each renews its lease, which is its heartbeat."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.integrations.sealing import SealedIntegration
from shared.messages import clock
from shared.messages.store import COUNTS, LeaseHold, Store, keep_trying
from shared.messages.traces import add_trace, list_traces
from shared.provider import Batch
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.log import get_log
from shared.runtime.outbound import time_calls
from shared.runtime.telemetry import observe

if TYPE_CHECKING:
    from shared.runtime.telemetry.sdk import Observed

LEASE_SECONDS = 30
RENEW_SECONDS = 10
COMMIT_GRACE_SECONDS = 8
MOST_WORDS = 1_500
EXPLAINED = frozenset({"credentials_refused", "invalid_config", "vault_error", "certificate_expired"})
YIELD_SECONDS = 20.0
"""How long a session lasts at least where others wait for its place: connecting costs its broker something, too."""


class LeasedSession(SealedIntegration):
    """What `lease_sessions` answers of each integration."""

    state: dict[str, Any] | None
    """Null where it is too large to be read."""
    lease_token: str
    slot: int
    slots: int
    """Of how many slots this is which."""


@dataclass(slots=True)
class SessionSummary:
    """What one session did, kept as `device_integrations.last_session`: counted as its batches are committed."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)
    connect_ms: float | None = None
    batches: int = 0
    received_bytes: int = 0
    warnings: int = 0
    refused: list[str] = field(default_factory=list)
    lag: object = None
    """How much the other side has still to be read, where a session's state says so."""

    def add(self, batch: Batch) -> None:
        """Count what is committed."""
        self.batches += bool(batch.messages)
        self.received_bytes += batch.received_bytes
        self.lag = (batch.state or {}).get("lag", self.lag)
        self.warnings += sum(note.level == "warning" for note in batch.notes)
        self.refused += [note.message for note in batch.notes if note.level == "error"]

    def describe(self, counts: Mapping[str, int]) -> dict[str, object]:
        """As JSON; `counts` are the sums of what `ingest_messages` answered. `refused` is there where anything was."""
        summary = {
            "started_at": self.started_at,
            "seconds": round(time.monotonic() - self.begun, 3),
            "connect_ms": self.connect_ms,
            "batches": self.batches,
            "messages": counts.get("received", 0),
            "bytes": self.received_bytes,
            "duplicates": counts.get("duplicates", 0),
            "rejected": counts.get("failed", 0),
            "warnings": self.warnings,
        }
        known = {} if self.lag is None else {"lag": self.lag}
        return summary | known | ({"refused": " ".join(self.refused)} if self.refused else {})


class Committer:
    """Commits batches in order on a thread of its own, so that receiving goes on meanwhile.

    After a failed commit nothing later is committed: a later state would claim what was never stored.
    """

    def __init__(self, database: Database, row: LeasedSession, deadline: Deadline) -> None:
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        self.summary = SessionSummary()
        self._calls = time_calls()
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
            self._commits.append(self._thread.submit(self._confirm, batch.connect_ms))
        if batch.messages or batch.state is not None or batch.notes:
            self._commits.append(self._thread.submit(self._commit, batch))
        elif time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self._commits.append(self._thread.submit(self._renew))

    def wait(self) -> None:
        """Until everything taken is committed; raises what a commit raised."""
        for commit in self._commits:
            commit.result()

    def finish(self, problem: Problem | None, pause: float = 0.0) -> None:
        """End the lease: due again after `pause` seconds, or later and later after a problem. LeaseLost, NotFound."""
        summary = self.summary.describe(self.counts) | self._calls.describe()
        finish = partial(
            self._database.call,
            "finish_session",
            p_integration_id=self._row["id"],
            p_lease_token=self._row["lease_token"],
            p_error=problem.detail if problem else None,
            p_code=problem.code if problem else None,
            p_due_seconds=pause,
            p_summary=summary,
        )
        keep_trying(finish, self._find_patience())

    def explain(self, problem: Problem) -> None:
        """After `finish`: say what failed by its code, for alerts about credentials, configs and certificates."""
        if problem.code in EXPLAINED:
            names = {"p_integration_id": self._row["id"], "p_code": problem.code}
            self._database.call("explain_failure", **names, p_message=problem.detail[:MOST_WORDS])

    def close(self) -> None:
        """Drop what was not begun; the other side will send it again."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _find_patience(self) -> Deadline:
        """How long to try while the database is away: given up, a lease would keep others out until it runs out."""
        spare = min(LEASE_SECONDS - RENEW_SECONDS, self.deadline.remaining())
        return Deadline(max(COMMIT_GRACE_SECONDS, spare))

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
        except BaseException:
            self._failed = True
            raise

    def _store_batch(self, batch: Batch) -> None:
        grace = Deadline(self.deadline.remaining() + COMMIT_GRACE_SECONDS)
        with self._observe(batch) as observed:
            messages = add_trace(batch.messages, observed.traceparent if observed else None)
            counts = self._store.store_batch(messages, batch.state, grace, batch.received_bytes)
        self.counts.update({str(name): counts[name] for name in COUNTS})
        if counts["deliveries"]:
            self.tell_queued()
        self._renewed = time.monotonic()

    def _observe(self, batch: Batch) -> AbstractContextManager[Observed | None]:
        system = self._row["integration_type"]
        about = {"messaging.system": system, "messaging.operation.name": "process"}
        return observe(
            "batch",
            f"process {system}",
            {
                **about,
                "messaging.batch.message_count": len(batch.messages),
                "integration.id": self._row["id"],
            },
            links=list_traces(batch.messages),
        )

    def _record_notes(self, batch: Batch) -> None:
        if notes := [*batch.notes, *clock.watch.find_notes(self._row["id"], batch.messages)]:
            names = {"p_integration_id": self._row["id"], "p_kind": "session"}
            record = partial(self._database.call, "record_activity", **names, p_notes=notes)
            keep_trying(record, self._find_patience())

    def _confirm(self, connect_ms: float) -> None:
        """End what is shown of a failure before: a session may last for long. Its end says so too."""
        try:
            self._database.call(
                "confirm_session",
                p_integration_id=self._row["id"],
                p_lease_token=self._row["lease_token"],
                p_connect_ms=connect_ms,
            )
        except Unavailable:
            get_log().warning("that the connection works could not be recorded; the end of the session will")

    def _renew(self) -> None:
        """Keep the lease of an idle session, or end it where others wait for its place."""
        try:
            is_to_yield = self._database.call(
                "renew_session",
                p_integration_id=self._row["id"],
                p_lease_token=self._row["lease_token"],
                p_lease_seconds=LEASE_SECONDS,
                p_may_yield=time.monotonic() - self.summary.begun > YIELD_SECONDS,
            )
            if is_to_yield:
                self.deadline.shorten()
        except Unavailable:
            get_log().warning(
                "the lease could not be renewed; the next batch or renewal will tell whether it still holds"
            )
