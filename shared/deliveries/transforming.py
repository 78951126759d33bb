"""Deliveries whose bodies a codec makes: in threads, an organization's one batch after another, before they are sent.

Whatever a codec does keeps nobody else's deliveries: what it has not made in time has failed, and is tried again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shared.deliveries.attempt import name_problem
from shared.deliveries.delivery import LeasedDelivery, make_event
from shared.integrations.sealing import SealedIntegration
from shared.provider import Event, Subscriber, TransformFields
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, TimedOut
from shared.runtime.idle_watch import Pulse
from shared.runtime.outbound import OutboundRequest

THREADS = 16
BATCH_SECONDS = 25.0
"""For a batch, its waiting for the one before it included: half of a lease."""

AT_ONCE = 100
"""Events a codec is given at a time; between them it is looked whether there is time left."""

Request = OutboundRequest | Problem
Start = Callable[[LeasedDelivery, Subscriber, Request], None]

_LATE = "The codec did not make its body in time."


class Transforming:
    """Makes the requests of what it is given, and has them started; every delivery gets a request or a problem."""

    def __init__(self, pulse: Pulse, start: Start) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._pulse = pulse
        self._start = start
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="transform")

    def add(self, provider: Subscriber, row: SealedIntegration, deliveries: Sequence[LeasedDelivery]) -> None:
        """Make and start the requests of `deliveries`, all of one integration."""
        task = asyncio.create_task(self._transform(provider, row, deliveries))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self) -> None:
        """No more is added."""
        self._threads.shutdown(wait=False)

    async def _transform(
        self, provider: Subscriber, row: SealedIntegration, deliveries: Sequence[LeasedDelivery]
    ) -> None:
        deadline = Deadline(BATCH_SECONDS)
        with self._pulse.busy():
            requests: Sequence[Request] = [TimedOut(_LATE)] * len(deliveries)
            try:
                async with asyncio.timeout(BATCH_SECONDS), self._locks[row["organization_id"]]:
                    events = [make_event(delivery, row) for delivery in deliveries]
                    make = partial(make_requests, provider, events, deadline)
                    requests = await asyncio.get_running_loop().run_in_executor(self._threads, make)
            except TimeoutError:
                pass
            except Exception as error:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
                requests = [name_problem(error)] * len(deliveries)
            for delivery, request in zip(deliveries, requests, strict=True):
                self._start(delivery, provider, request)


def make_requests(provider: Subscriber, events: Sequence[Event], deadline: Deadline) -> list[Request]:
    """The request of each event, with the body that the codec makes of it; or why there is none."""
    return [request for part in _cut(events) for request in _make_part(provider, part, deadline)]


def _cut(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    yield from (events[at : at + AT_ONCE] for at in range(0, len(events), AT_ONCE))


def _make_part(provider: Subscriber, events: Sequence[Event], deadline: Deadline) -> list[Request]:
    if deadline.expired or not isinstance(provider, TransformFields):
        return [TimedOut(_LATE)] * len(events)
    try:
        encoded = provider.encode_events(events)
    except Exception as error:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
        return [name_problem(error)] * len(events)
    return [each if isinstance(each, Problem) else _build(provider, each) for each in encoded]


def _build(provider: Subscriber, event: Event) -> Request:
    try:
        return provider.deliver(event)
    except Exception as error:  # noqa: BLE001 - as above
        return name_problem(error)
