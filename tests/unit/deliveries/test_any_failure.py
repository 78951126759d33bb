"""Whatever is thrown on the way of one delivery, its place is given back and the others' are delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import PrivateAttr

from shared.deliveries import dispatcher, open_providers
from shared.deliveries.dispatcher import IN_FLIGHT, _Dispatcher
from shared.deliveries.result import Result
from shared.provider import Event, OutboundReply, OutboundRequest, Subscriber
from shared.runtime.database.client import Database
from shared.runtime.database.leases import Leases, Unread
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.idle_watch import Pulse
from shared.runtime.outbound import OutboundClient
from tests.unit.failures import ERRORS, errors, worst
from tests.waiting import PATIENCE_SECONDS

STEPS = ("open", "deliver", "send", "reply", "finish_deliveries")
Failure = tuple[str, type[BaseException]]


class Toy(Subscriber):
    """Describes a request to where its step is the host; throws where it is told to."""

    label: ClassVar[str] = "Toy"
    docs: ClassVar[str] = "A toy."

    _name: str = PrivateAttr("")
    _failure: type[BaseException] | None = PrivateAttr(None)

    def deliver(self, event: Event) -> OutboundRequest:  # noqa: ARG002 - the base's
        if self._failure:
            raise self._failure
        return OutboundRequest("POST", f"http://{self._name}/", {}, b"A" * 5_000)


class Rows(Database):
    """Leases a delivery for each failure, and a sound one after each."""

    def __init__(self, failures: list[Failure], lease_errors: list[type[BaseException]]) -> None:
        self.finished: list[Result] = []
        self.deadline = Deadline(PATIENCE_SECONDS)
        self.failures = {f"bad-{number}": failure for number, failure in enumerate(failures)}
        self._lease_errors = lease_errors
        self._left = [name for number in range(len(failures)) for name in (f"bad-{number}", f"good-{number}")]
        self._sound = {name for name in self._left if name.startswith("good")}

    def lease(self, function: str, name: str | None = None, **_: Any) -> Leases[Any]:
        assert (function, name) == ("lease_deliveries", "deliveries")
        if self._lease_errors:
            raise self._lease_errors.pop()
        names, self._left = self._left, []
        rows = [describe(each) for each in names]
        integrations = {each: {"id": each, "organization_id": each[:3], "settings": {}} for each in names}
        return Leases(rows, integrations, [Unread("unread", "token")] if names else [])

    def call(self, function: str, **arguments: Any) -> Any:
        if function == "spread_deliveries":
            return None
        results: list[Result] = arguments["p_results"]
        for result in results:
            step, error = self.failures.get(result.id, ("", ValueError))
            if step == function and result.reply is not None:
                raise error
        self.finished += results
        if self._sound <= {result.id for result in self.finished}:
            self.deadline.shorten(0.2)
        return {"delivered": sum(result.outcome == "delivered" for result in results)}


class Client(OutboundClient):
    """Answers by the rows' failures; the network is not what is tried here."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows

    async def send(self, request: OutboundRequest, within: float = 0) -> OutboundReply:  # noqa: ARG002 - the base's
        await asyncio.sleep(0)
        kind, _, number = request.url.removeprefix("http://").rstrip("/").partition("-")
        step, error = (
            self._rows.failures.get(f"bad-{number}", ("", ValueError)) if kind == "bad" else ("", ValueError)
        )
        if step == "send":
            raise error
        return OutboundReply(
            200, {}, cast("bytes", None) if step == "reply" else b"ok", truncated=False, milliseconds=1
        )


def describe(name: str) -> dict[str, Any]:
    return {
        "id": name, "lease_token": "t", "organization_id": name[:3], "integration_id": name, "attempts": 1,
        "payload_bytes": 10, "event_type": "e", "kind": "event", "topic": None, "payload": {}, "observed_at": None,
        "source": {"integration_id": None, "integration_type": None, "name": None}, "device": None,
    }  # fmt: skip


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(
    failures=st.lists(st.tuples(st.sampled_from(STEPS), worst), min_size=1, max_size=5),
    lease_errors=st.lists(errors, max_size=2),
)
def test_whatever_is_thrown_places_and_bytes_are_given_back_and_the_others_arrive(
    failures: list[Failure], lease_errors: list[type[BaseException]]
) -> None:
    # What a call for all of a batch throws is an Exception; and it is tried again while the database is away.
    wrong = [(step, error) for step, error in failures if step == STEPS[-1] and error not in ERRORS]
    failures = [
        (step, ValueError if error is Unavailable or (step, error) in wrong else error)
        for step, error in failures
    ]
    rows = Rows(failures, lease_errors)

    def open_toy(row: Mapping[str, Any]) -> Subscriber:
        step, error = rows.failures.get(row["id"], ("", ValueError))
        if step == "open":
            raise error
        toy = Toy.model_construct()
        toy._name, toy._failure = row["id"], error if step == "deliver" else None
        return toy

    async def run() -> _Dispatcher:
        made = _Dispatcher(rows, Client(rows), rows.deadline, Pulse())
        await made.run()
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_providers, "open_provider", open_toy)
        patch.setattr(dispatcher, "POLL_SECONDS", 0.02)
        run_by = asyncio.run(run())

    delivered = {result.id for result in rows.finished if result.outcome == "delivered"}
    assert {f"good-{number}" for number in range(len(failures))} <= delivered
    assert run_by._shares.free == IN_FLIGHT
    assert run_by._shares.free_bytes == run_by._shares._most_bytes
    assert (run_by._open, run_by._bodies) == ({}, {})
