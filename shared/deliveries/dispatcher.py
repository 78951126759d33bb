"""One run of the dispatcher: leasing, sending and recording go on side by side until the deadline.

A slow endpoint keeps only its own slots, so the others go on. Answers are recorded in batches while the next ones
are awaited, and the next deliveries are leased while the last are still being begun.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from shared.deliveries.recorder import Recorder
from shared.deliveries.result import Result, describe_attempt, describe_unsent
from shared.deliveries.sending import Providers, build_request, make_attempt
from shared.deliveries.verdict import judge_attempt
from shared.provider.subscriber import Subscriber
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log
from shared.runtime.outbound import OutboundClient, OutboundRequest

IN_FLIGHT = 1_000
IN_FLIGHT_BYTES = 32 * 1_048_576
LEASE_AT_ONCE = 400
LEASE_BYTES = 8 * 1_048_576
"""Of payloads, which a delivery may have up to a megabyte of; always at least one delivery, whatever its size."""

LEASE_SECONDS = 60
"""Longer than the longest request (30 s), so that nobody else sends what is still being sent."""

START_AT_ONCE = 25
"""Requests are built and begun in handfuls, so that the first answers are recorded while the last are being sent."""

POLL_SECONDS = 0.25
LAST_START_SECONDS = 2.0
"""Nothing new is begun so near the deadline (or in the last quarter of a short run): it would be cut off."""

COLLECT_AFTER = 50_000
"""Hundreds of requests under way look like a leak: with Python's usual 700, looking for it took a fifth of the time."""

Webhooks = dict[str, tuple[dict[str, Any], Subscriber | Problem]]
"""The rows of the webhooks leased for, and their providers or why there is none."""

Ready = tuple[dict[str, Any], Subscriber, OutboundRequest | Problem]
"""A leased delivery, its provider, and what goes out or why nothing can."""


async def dispatch_deliveries(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Send what is due until `deadline`, retries that fall due meanwhile too; the counts of `finish_deliveries`."""
    set_collector()
    async with OutboundClient() as client:
        return await _Dispatcher(database, client, deadline, pulse).run()


def set_collector() -> None:
    """Let the garbage collector look for cycles less often, in all of this process and from now on."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


class _Dispatcher:
    def __init__(self, database: Database, client: OutboundClient, deadline: Deadline, pulse: Pulse) -> None:
        self._database = database
        self._client = client
        self._deadline = deadline
        self._pulse = pulse
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[str, int] = {}
        self._providers = Providers()
        self._wake = asyncio.Event()
        self._recorder = Recorder(database, pulse, self._close_all)
        self._last_start = min(LAST_START_SECONDS, deadline.remaining() / 4)

    async def run(self) -> Counter[str]:
        self._loop = asyncio.get_running_loop()
        self._starting = self._loop.create_task(asyncio.sleep(0))
        recording = asyncio.create_task(self._recorder.run())
        with self._pulse.on_queued(self._wake_up):
            while not self._deadline.expired:
                self._wake.clear()
                if not await self._lease_all():
                    await self._wait_awake(min(POLL_SECONDS, self._deadline.remaining()))
        await self._starting
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._recorder.end()
        await recording
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
        room = min(LEASE_AT_ONCE, IN_FLIGHT - len(self._open))
        room_bytes = min(LEASE_BYTES, IN_FLIGHT_BYTES - sum(self._open.values()))
        if min(room, room_bytes) <= 0 or self._deadline.remaining() < self._last_start:
            return False
        try:
            leased = await asyncio.to_thread(
                self._database.call,
                "lease_deliveries",
                p_limit=room,
                p_lease_seconds=LEASE_SECONDS,
                p_bytes=room_bytes,
            )
        except Problem as problem:
            get_log().warning("deliveries could not be leased", code=problem.code, detail=problem.detail)
            self._recorder.counts["failed_leases"] += 1
            return False
        deliveries = leased["deliveries"]
        self._open |= {delivery["id"]: delivery["payload_bytes"] for delivery in deliveries}
        await self._starting
        self._starting = self._loop.create_task(self._start_all(leased["integrations"], deliveries))
        return len(deliveries) == room

    def _close_all(self, results: list[Result]) -> None:
        for result in results:
            self._open.pop(result["id"], None)
        self._wake.set()

    async def _start_all(self, rows: dict[str, Any], deliveries: list[dict[str, Any]]) -> None:
        webhooks = {key: (row, self._providers.open(row)) for key, row in rows.items()}
        for first in range(0, len(deliveries), START_AT_ONCE):
            for ready in list(self._build_requests(webhooks, deliveries[first : first + START_AT_ONCE])):
                task = asyncio.create_task(self._deliver(*ready))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(0)

    def _build_requests(self, webhooks: Webhooks, deliveries: list[dict[str, Any]]) -> Iterator[Ready]:
        for delivery in deliveries:
            row, provider = webhooks[delivery["integration_id"]]
            if isinstance(provider, Problem):
                self._recorder.add(describe_unsent(delivery, provider))
            else:
                yield delivery, provider, build_request(provider, delivery, row)

    async def _deliver(
        self, delivery: dict[str, Any], provider: Subscriber, request: OutboundRequest | Problem
    ) -> None:
        with self._pulse.busy():
            attempt = await make_attempt(self._client, request, self._deadline.remaining())
            verdict = judge_attempt(attempt, delivery["attempts"], provider.retry_schedule)
            self._recorder.add(describe_attempt(delivery, attempt, verdict, provider))
