"""Writes down what attempts came to, in batches; SQL judges by it, down to the circuit breaker of each endpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.deliveries.result import Result
from shared.runtime.database.client import Database
from shared.runtime.errors import Unavailable
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log

GATHER_SECONDS = 0.01
MOST_GATHERS = 5
ENOUGH = 300
"""Results go together once there are so many, or none came for `GATHER_SECONDS`, or after `MOST_GATHERS` of these."""

RETRY_SECONDS = 0.25
BUSY_SECONDS = 1.0
"""What a statement of its own organization was in the way of is tried again after so long."""

MOST_AT_ONCE = 500


class Recorder:
    """Results are added as they come; `counts` adds up what `finish_deliveries` says of them.

    `recorded` is called with each batch: their endpoints have room again. What the database does not take is kept and
    tried again, and what it says is busy apart from the others; should this process end first, the leases run out and
    the deliveries are sent again.
    """

    def __init__(self, database: Database, pulse: Pulse, recorded: Callable[[list[Result]], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._database = database
        self._pulse = pulse
        self._recorded = recorded
        self._results: list[Result] = []
        self._busy: list[Result] = []
        self._added = asyncio.Event()
        self._ending = False

    def add(self, result: Result) -> None:
        """Take one more result."""
        self._results.append(result)
        self._added.set()

    def end(self) -> None:
        """Let `run` return once everything was tried."""
        self._ending = True
        self._take_busy()
        self._added.set()

    async def run(self) -> None:
        """Record until `end`."""
        while not self._ending or self._results:
            await self._added.wait()
            self._added.clear()
            if not self._ending:
                await self._gather()
            if not await self._flush() and self._ending:
                return

    async def _gather(self) -> None:
        for _ in range(MOST_GATHERS):
            before = len(self._results)
            if before >= ENOUGH:
                return
            await asyncio.sleep(GATHER_SECONDS)
            if self._ending or len(self._results) == before:
                return

    async def _flush(self) -> bool:
        results = self._results[:MOST_AT_ONCE]
        try:
            busy = await self._record(results) if results else frozenset()
        except Unavailable as problem:
            get_log().warning("attempts could not be recorded yet", code=problem.code, detail=problem.detail)
            await asyncio.sleep(RETRY_SECONDS)
            self._added.set()
            return False
        del self._results[: len(results)]
        if self._results:
            self._added.set()
        self._recorded([result for result in results if result.id not in busy])
        self._put_aside([result for result in results if result.id in busy])
        return True

    def _put_aside(self, busy: list[Result]) -> None:
        """Others' results do not wait with them; in the end they are left to their leases."""
        self._busy += busy
        if busy and not self._ending:
            asyncio.get_running_loop().call_later(BUSY_SECONDS, self._take_busy)

    def _take_busy(self) -> None:
        if self._busy:
            self._results += self._busy
            self._busy = []
            self._added.set()

    async def _record(self, results: list[Result]) -> frozenset[str]:
        """Record attempts, those that the database can't hold alone and without their answer; the ids of those that
        something is in the way of. Unavailable passes."""
        try:
            counts = await asyncio.to_thread(self._finish, results)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - what can never be recorded must not keep all that comes after it
            return await self._record_alone(results)
        busy = frozenset(counts.pop("busy", ()))
        self.counts.update(counts)
        self._pulse.beat()
        return busy

    def _finish(self, results: list[Result]) -> Any:
        try:
            return self._database.call("finish_deliveries", p_results=results)
        except StopIteration as error:
            # asyncio can't bring one out of a thread: whoever waits for that would wait for ever.
            raise RuntimeError("the call ended early") from error

    async def _record_alone(self, results: list[Result]) -> frozenset[str]:
        if len(results) > 1:
            return frozenset[str]().union(*[await self._record([result]) for result in results])
        if results[0].reply is not None:
            return await self._record([replace(results[0], reply=None)])
        get_log().exception("an attempt could not be recorded", delivery=results[0].id)
        self.counts["unrecorded"] += 1
        return frozenset()
