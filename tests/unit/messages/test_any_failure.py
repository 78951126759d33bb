"""Whatever a provider's session or a call for it throws, at any step: its session ends, the others' go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.messages import session, session_pool, store
from shared.messages.store import COUNTS
from shared.provider import Batch, Message, Note, Poller
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.database.leases import Leases
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.idle_watch import Pulse
from tests.unit.failures import errors, worst
from tests.waiting import PATIENCE_SECONDS

STEPS = (
    "open",
    "begin",
    "middle",
    "close",
    "ingest_batch",
    "record_activity",
    "finish_session",
    "confirm_session",
)
Failure = tuple[str, type[BaseException]]


class Toy(Poller):
    """Yields two batches; throws where it is told to."""

    label: ClassVar[str] = "Toy"
    docs: ClassVar[str] = "A toy."

    step: str = ""
    error: type[BaseException] = ValueError

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:  # noqa: ARG002 - the base's
        try:
            self._throw("begin")
            yield Batch([Message("1", "d", payload={})], {"n": 1}, [Note("info", "hello")], connect_ms=1.0)
            self._throw("middle")
            yield Batch([Message("2", "d", payload={})], {"n": 2})
        finally:
            self._throw("close")

    def _throw(self, step: str) -> None:
        if step == self.step:
            raise self.error


class Rows(Database):
    """Leases a row for each failure, and a sound one after each; throws at the calls for those that are to fail."""

    def __init__(self, failures: list[Failure], lease_errors: list[type[BaseException]]) -> None:
        self.stored: list[str] = []
        self.finished: list[str] = []
        self.deadline = Deadline(PATIENCE_SECONDS)
        self.failures = {f"bad-{number}": failure for number, failure in enumerate(failures)}
        self._lease_errors = lease_errors
        self._left = [name for number in range(len(failures)) for name in (f"bad-{number}", f"good-{number}")]
        self._sound = {name for name in self._left if name.startswith("good")}

    def lease(self, function: str, name: str | None = None, **arguments: Any) -> Leases[Any]:
        assert (function, name) == ("lease_sessions", None)
        if self._lease_errors:
            raise self._lease_errors.pop()
        taken, self._left = self._left[: arguments["p_limit"]], self._left[arguments["p_limit"] :]
        rows = [
            {
                "id": each,
                "organization_id": each[:3],
                "integration_type": "toy",
                "lease_token": each,
                "slot": 0,
                "slots": 1,
                "state": {},
            }
            for each in taken
        ]
        return Leases(rows)

    def call_whole(self, function: str, document: Any) -> Any:
        self.fail(document["integration_id"], function)
        self.stored.append(document["integration_id"])
        return dict.fromkeys(COUNTS, 0)

    def fail(self, integration_id: str, function: str) -> None:
        step, error = self.failures.get(integration_id, ("", ValueError))
        if step == function:
            raise error

    def call(self, function: str, **arguments: Any) -> Any:
        integration_id = arguments["p_integration_id"]
        self.fail(integration_id, function)
        if function == "finish_session":
            self.finished.append(integration_id)
            if self._sound <= {*self.finished}:
                self.deadline.shorten()
        return None


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(
    failures=st.lists(st.tuples(st.sampled_from(STEPS), worst), min_size=1, max_size=4),
    lease_errors=st.lists(errors, max_size=2),
)
def test_whatever_a_session_throws_it_alone_ends_and_leaves_no_thread(
    failures: list[Failure], lease_errors: list[type[BaseException]]
) -> None:
    failures = [(step, error) for step, error in failures if error is not Unavailable]
    rows = Rows(failures, lease_errors)

    def open_toy(row: Mapping[str, Any]) -> Poller:
        step, error = rows.failures.get(row["id"], ("", ValueError))
        if step == "open":
            raise error
        return Toy.model_construct(step=step, error=error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "open_provider", open_toy)
        patch.setattr(store, "BACKOFF", Backoff(0.001, 0.001))
        patch.setattr(session_pool, "MORE_POLL_SECONDS", 0.001)
        counts = session_pool.run_sessions(cast("Database", rows), rows.deadline, Pulse())

    good = [f"good-{number}" for number in range(len(failures))]
    assert [rows.stored.count(each) for each in good] == [2] * len(good)
    assert set(good) <= set(rows.finished)
    assert counts["sessions"] >= len(good)
    assert not [each.name for each in threading.enumerate() if each.name.startswith(("commit", "session"))]
