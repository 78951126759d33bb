"""One run of the dispatcher: leasing, sending and recording go on side by side until the deadline.

A slow endpoint keeps only its own slots, so the others go on. Answers are recorded in batches while the next ones
are awaited, and the next deliveries are leased while the last are still being begun.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from shared.deliveries.attempt import build_request, make_attempt, name_problem, pass_trace
from shared.deliveries.delivery import LeasedDelivery, describe_delivery
from shared.deliveries.open_providers import OpenProviders
from shared.deliveries.process import prepare_process
from shared.deliveries.publishing import Publishing
from shared.deliveries.recorder import Recorder
from shared.deliveries.requests import RequestLog, Sent
from shared.deliveries.result import Result, conclude_attempt, describe_unread, describe_unsent
from shared.deliveries.transforming import Transforming
from shared.integrations.sealing import SealedIntegration
from shared.provider import Publisher, Subscriber, TransformFields
from shared.runtime.database.client import Database
from shared.runtime.database.leases import UNREAD, Leases
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log
from shared.runtime.memory import find_memory
from shared.runtime.outbound import OutboundClient, OutboundRequest
from shared.runtime.shares import Shares
from shared.runtime.telemetry import find_traceparent, observe, read_traceparent

IN_FLIGHT = 2_000
"""Half of them for an organization that is alone (`Shares`): with fewer it waits while its answers are recorded."""

IN_FLIGHT_PART = 32
"""Of the process's memory payloads and bodies under way may be one in so many: parsed, a payload is up to ten times
as large."""

LEASE_AT_ONCE = 400
LEASE_BYTES = 8 * 1_048_576
"""Of payloads, which a delivery may have up to a megabyte of; always at least one delivery, whatever its size."""

LEASE_SECONDS = 60
"""Longer than the longest request (30 s), so that nobody else sends what is still being sent."""

SMALL_BODY = 4_096
START_AT_ONCE = 25
"""Requests are built and begun in handfuls, so that the first answers are recorded while the last are being sent."""

POLL_SECONDS = 0.25
SPREAD_SECONDS, SPREAD_PAUSES = 1.0, 5
LAST_START_SECONDS = 2.0
"""Nothing new is begun so near the deadline (or in the last quarter of a short run): it would be cut off."""

Batch = tuple[list[LeasedDelivery], Callable[[list[LeasedDelivery]], None]]
"""Deliveries of one integration that go together, and what takes them."""

_UNREAD = Problem(UNREAD)
"""Stands for an integration whose config can't be read, or that was deleted just now."""


async def dispatch_deliveries(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Send what is due until `deadline`, retries that fall due meanwhile too; the counts of `finish_deliveries`."""
    prepare_process()
    async with OutboundClient() as client:
        return await _Dispatcher(database, client, deadline, pulse).run()


class _Dispatcher:
    def __init__(self, database: Database, client: OutboundClient, deadline: Deadline, pulse: Pulse) -> None:
        self._database = database
        self._client = client
        self._deadline = deadline
        self._pulse = pulse
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[str, LeasedDelivery] = {}
        self._bodies: dict[str, int] = {}
        self._shares = Shares(IN_FLIGHT, find_memory() // IN_FLIGHT_PART)
        self._providers = OpenProviders()
        self._wake = asyncio.Event()
        self._recorder = Recorder(database, pulse, self._close_all)
        self._requests = RequestLog(database)
        self._publishing = Publishing(deadline, pulse, self._recorder.add)
        self._transforming = Transforming(pulse, self._start)
        self._last_start = min(LAST_START_SECONDS, deadline.remaining() / 4)

    async def run(self) -> Counter[str]:
        self._loop = asyncio.get_running_loop()
        self._starting = self._loop.create_task(asyncio.sleep(0))
        recording = asyncio.create_task(self._recorder.run())
        keeping = asyncio.create_task(self._requests.run())
        spreading = asyncio.create_task(self._spread_all())
        with self._pulse.on_queued(self._wake_up):
            while not self._deadline.expired:
                self._wake.clear()
                if not await self._lease_all():
                    await self._wait_awake(min(POLL_SECONDS, self._deadline.remaining()))
        await self._starting
        spreading.cancel()
        while under_way := self._tasks | self._publishing.tasks | self._transforming.tasks:
            await asyncio.wait(under_way)
        self._transforming.close()
        self._recorder.end()
        self._requests.end()
        await asyncio.gather(recording, keeping)
        return self._recorder.counts

    def _wake_up(self) -> None:
        # Called from the sessions' threads, perhaps just when this loop has ended.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _wait_awake(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _lease_all(self) -> bool:
        """Lease what there is room for; whether there may be more at once."""
        room = self._shares.find_room(LEASE_AT_ONCE)
        room_bytes = min(LEASE_BYTES, self._shares.free_bytes)
        if min(room, room_bytes) <= 0 or self._deadline.remaining() < self._last_start:
            return False
        leased = await asyncio.to_thread(self._lease, room, room_bytes)
        for delivery in leased.rows:
            self._open[delivery["id"]] = delivery
            self._shares.take(delivery["organization_id"], delivery["payload_bytes"])
        for unread in leased.unread:
            self._recorder.add(describe_unread(unread))
        await self._starting
        self._starting = self._loop.create_task(self._start_all(leased))
        return len(leased.rows) == room

    def _lease(self, room: int, room_bytes: int) -> Leases[LeasedDelivery]:
        try:
            leased: Leases[LeasedDelivery] = self._database.lease(
                "lease_deliveries",
                "deliveries",
                p_limit=room,
                p_lease_seconds=LEASE_SECONDS,
                p_bytes=room_bytes,
                p_shares=self._shares.limit(),
            )
        except Exception as error:  # noqa: BLE001 - no call may end the dispatcher, and everybody's deliveries with it
            problem = name_problem(error)
            get_log().warning("deliveries could not be leased", code=problem.code, detail=problem.detail)
            self._recorder.counts["failed_leases"] += 1
            return Leases()
        return leased

    async def _spread_all(self) -> None:
        """Queue what was too much for one transaction, a step at a time, beside the leases, which find it as they look.

        After each it pauses for longer than it took, up to a second: others have the most of the database.
        """
        while not self._deadline.expired:
            begun = time.perf_counter()
            if await asyncio.to_thread(self._spread) is None:
                pause = SPREAD_SECONDS
            else:
                self._pulse.beat()
                pause = SPREAD_PAUSES * (time.perf_counter() - begun)
            await asyncio.sleep(min(pause, SPREAD_SECONDS, self._deadline.remaining()))

    def _spread(self) -> int | None:
        try:
            queued: int | None = self._database.call("spread_deliveries")
        except Exception as error:  # noqa: BLE001 - as above
            get_log().warning("deliveries could not be queued", detail=name_problem(error).detail)
            return None
        return queued

    def _close_all(self, results: list[Result]) -> None:
        for result in results:
            if ended := self._open.pop(result.id, None):
                size = ended["payload_bytes"] + self._bodies.pop(result.id, 0)
                self._shares.give_back(ended["organization_id"], size)
        self._wake.set()

    async def _start_all(self, leased: Leases[LeasedDelivery]) -> None:
        batches: list[Batch] = []
        ways = {key: self._choose_way(row, batches) for key, row in leased.integrations.items()}
        unread = partial(self._refuse, _UNREAD)
        for first in range(0, len(leased.rows), START_AT_ONCE):
            for delivery in leased.rows[first : first + START_AT_ONCE]:
                ways.get(delivery["integration_id"], unread)(delivery)
            await asyncio.sleep(0)
        for batch, add in batches:
            if batch:
                add(batch)

    def _choose_way(self, row: SealedIntegration, batches: list[Batch]) -> Callable[[LeasedDelivery], None]:
        """What is done with each delivery of an integration; what takes them all together is added to `batches`."""
        batch: list[LeasedDelivery] = []
        match self._providers.open(row):
            case Subscriber() as provider if isinstance(provider, TransformFields) and provider.transform:
                batches.append((batch, partial(self._transforming.add, provider, row)))
            case Subscriber() as provider:
                return lambda each: self._start(each, provider, build_request(provider, each, row))
            case Publisher() as publisher:
                batches.append((batch, partial(self._publishing.add, publisher, row)))
            case Problem() as problem:
                return partial(self._refuse, problem)
        return batch.append

    def _refuse(self, problem: Problem, delivery: LeasedDelivery) -> None:
        self._recorder.add(describe_unsent(delivery, problem))

    def _start(
        self, delivery: LeasedDelivery, provider: Subscriber, request: OutboundRequest | Problem
    ) -> None:
        body = request.body if isinstance(request, OutboundRequest) else None
        if body and len(body) > SMALL_BODY:
            # A template may make much of little.
            self._bodies[delivery["id"]] = len(body)
            self._shares.hold_more(delivery["organization_id"], len(body))
        task = self._loop.create_task(self._deliver(delivery, provider, request))
        self._tasks.add(task)
        # However it ends: one that stayed would never let the run end.
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, delivery: LeasedDelivery, provider: Subscriber, request: OutboundRequest | Problem
    ) -> None:
        with self._pulse.busy():
            try:
                brought = read_traceparent(delivery.get("traceparent"))
                with observe("delivery", "deliver", describe_delivery(delivery), parent=brought) as observed:
                    request = pass_trace(request, find_traceparent(observed, brought))
                    attempt = await make_attempt(self._client, request, self._deadline.remaining())
                    result = conclude_attempt(delivery, attempt, provider)
                    if observed and result.outcome != "delivered":
                        observed.fail(result.outcome)
            except BaseException as error:  # noqa: BLE001 - a place is given back on every way out, cancelled too
                result = describe_unsent(delivery, name_problem(error))
            self._recorder.add(result)
            if isinstance(request, OutboundRequest) and result.outcome != "unsent":
                sent = Sent(
                    delivery["id"], attempt.started_at, result.outcome == "delivered", request, provider
                )
                self._requests.add(delivery["integration_id"], sent)
