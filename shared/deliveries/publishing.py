"""Deliveries whose providers publish them by themselves: in threads, a batch of one integration's at a time.

No batch outlasts its deadline here, whatever its provider does: what has no outcome by then has failed, and is tried
again. A thread that a provider does not give back keeps one of the places that the integrations of its type share, so a
provider that hangs ends up harming nobody but itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TypeVar

from shared.deliveries.attempt import Attempt, name_problem
from shared.deliveries.delivery import LeasedDelivery, make_event
from shared.deliveries.result import Result, conclude_attempt
from shared.integrations.sealing import SealedIntegration
from shared.provider import Publisher, PublishOutcome
from shared.runtime.deadline import Deadline
from shared.runtime.errors import OutsideError, Problem, TimedOut
from shared.runtime.idle_watch import Pulse
from shared.runtime.outbound import CallTimes, time_calls

BATCH_SECONDS = 25.0
GRACE_SECONDS = 1.0
"""What a provider may take to end once its deadline has come."""

PLACE_SECONDS = 5.0
"""How long a batch waits for a place. With the batch before it and its own time it is still less than a lease."""

PLACES_OF_A_TYPE = 64
LOOK_SECONDS = 0.05
MOST_RECIPIENTS = 1_000
"""Of one event; what a provider says of more is not listened to."""

Heard = TypeVar("Heard")

_places: dict[str, threading.BoundedSemaphore] = {}
"""Of each type, in this process: a thread may outlast the run that began it."""


@dataclass
class Publication:
    """What is published together: leased deliveries of one integration, `row`, by their ids."""

    provider: Publisher
    row: SealedIntegration
    deliveries: dict[str, LeasedDelivery]
    record: Callable[[Result], None]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.perf_counter)
    heard: dict[str, list[PublishOutcome]] = field(default_factory=lambda: defaultdict(list))
    calls: CallTimes = field(default_factory=CallTimes)

    def publish(self, deadline: Deadline, tell: Callable[[PublishOutcome], None]) -> None:
        """In a thread of its own: all outcomes, each as soon as it is known; raises what the provider raises."""
        self.calls = time_calls()
        events = [make_event(delivery, self.row) for delivery in self.deliveries.values()]
        for outcome in islice(self.provider.publish(events, deadline), MOST_RECIPIENTS * len(events)):
            if not isinstance(outcome, PublishOutcome):
                raise TypeError("publish yields PublishOutcomes")
            tell(outcome)
            if deadline.expired:
                return

    def hear(self, outcome: PublishOutcome) -> None:
        """One outcome: the end of its delivery where that has one recipient, else kept until all are known."""
        if outcome.recipient:
            self.heard[outcome.event_id].append(outcome)
        elif outcome.event_id in self.deliveries:
            self._settle(outcome.event_id, outcome.problem, outcome.reference, outcome.reference)

    def end(self, problem: Problem | None) -> None:
        """No more will be heard, because of `problem` where that was not the end of it: settle what is left."""
        for delivery_id in list(self.deliveries):
            outcomes = self.heard.get(delivery_id, [])
            self._settle(delivery_id, _weigh(outcomes, problem), _show_recipients(outcomes))

    def _settle(
        self, delivery_id: str, problem: Problem | None, heard: str | None, reference: str | None = None
    ) -> None:
        milliseconds = (time.perf_counter() - self.begun) * 1000
        attempt = Attempt(
            *(self.started_at, milliseconds, None, problem, heard),
            is_published=True,
            reference=reference,
            certificate=self.calls.certificate,
        )
        self.record(conclude_attempt(self.deliveries.pop(delivery_id), attempt, self.provider))


class Publishing:
    """Publishes what it is given, until `deadline`; every delivery ends as a result that `record` is told."""

    def __init__(self, deadline: Deadline, pulse: Pulse, record: Callable[[Result], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._deadline = deadline
        self._pulse = pulse
        self._record = record
        self._waiting: dict[str, list[Publication]] = {}

    def add(self, provider: Publisher, row: SealedIntegration, deliveries: Sequence[LeasedDelivery]) -> None:
        """Publish `deliveries`, once the batch of their integration that is under way has ended."""
        batch = Publication(
            provider, row, {delivery["id"]: delivery for delivery in deliveries}, self._record
        )
        if row["id"] in self._waiting:
            self._waiting[row["id"]].append(batch)
            return
        self._waiting[row["id"]] = [batch]
        task = asyncio.create_task(self._publish_all(row["id"]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _publish_all(self, integration_id: str) -> None:
        try:
            with self._pulse.busy():
                while waiting := self._waiting[integration_id]:
                    self._waiting[integration_id] = []
                    batch = waiting[-1]
                    batch.deliveries = {key: each for one in waiting for key, each in one.deliveries.items()}
                    await self._publish(batch)
        finally:
            del self._waiting[integration_id]

    async def _publish(self, batch: Publication) -> None:
        deadline = self._deadline.within(BATCH_SECONDS)
        integration_type = batch.row["integration_type"]
        places = _places.setdefault(integration_type, threading.BoundedSemaphore(PLACES_OF_A_TYPE))
        if not await _take_place(places):
            batch.end(TimedOut("Too many integrations of this type publish at this moment."))
            return
        batch.started_at, batch.begun = datetime.now(UTC), time.perf_counter()
        ended: asyncio.Future[Problem | None] = asyncio.get_running_loop().create_future()
        try:
            threading.Thread(target=_work, args=(batch, deadline, ended, places), daemon=True).start()
        except RuntimeError as error:
            places.release()
            batch.end(name_problem(error))
            return
        await asyncio.wait({ended}, timeout=deadline.remaining() + GRACE_SECONDS)
        problem = ended.result() if ended.done() else None
        if deadline.expired and not isinstance(problem, OutsideError):
            problem = TimedOut("It was not published in time.")
        batch.end(problem)


async def _take_place(places: threading.BoundedSemaphore) -> bool:
    patience = Deadline(PLACE_SECONDS)
    while not places.acquire(blocking=False):
        if patience.expired:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def _work(
    batch: Publication,
    deadline: Deadline,
    ended: asyncio.Future[Problem | None],
    places: threading.BoundedSemaphore,
) -> None:
    loop, problem = ended.get_loop(), None
    try:
        batch.publish(deadline, lambda outcome: _call(loop, batch.hear, outcome))
    except BaseException as error:  # noqa: BLE001 - one provider's defect must not end the others' deliveries
        problem = name_problem(error)
    finally:
        places.release()
    _call(loop, partial(_resolve, ended), problem)


def _resolve(ended: asyncio.Future[Problem | None], problem: Problem | None) -> None:
    if not ended.done():
        ended.set_result(problem)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[Heard], object], heard: Heard) -> None:
    # The loop may be closed by the time that a provider which was given up comes back.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, heard)


def _weigh(outcomes: Sequence[PublishOutcome], problem: Problem | None) -> Problem | None:
    """Why a delivery is not done, first what may pass; what ended the whole batch always may."""
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    if problem:
        problems.append(OutsideError(problem.detail) if problem.is_final else problem)
    elif not outcomes:
        problems.append(OutsideError("Nothing was said of what became of it."))
    return next((each for each in problems if not each.is_final), problems[0] if problems else None)


def _show_recipients(outcomes: Sequence[PublishOutcome]) -> str | None:
    lines = (
        f"{each.recipient}: {each.problem.detail if each.problem else each.reference or 'taken'}"
        for each in outcomes
    )
    return "\n".join(lines) or None
