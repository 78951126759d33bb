"""The webhook dispatcher, the one async island: leases due deliveries, sends them side by side, records the answers.

At most `IN_FLIGHT` requests at once; a slow endpoint keeps only its own slots, so the others go on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from shared.database import Database
from shared.deadline import Deadline
from shared.errors import BadRequest, Problem, TimedOut, TooLarge
from shared.log import get_log
from shared.messages import Event, EventDevice, Identity
from shared.outbound import OutboundClient, OutboundReply, OutboundRequest
from shared.provider import Provider
from shared.pulse import Pulse
from shared.sealing import open_provider
from shared.subscriber import Subscriber

IN_FLIGHT = 200
LEASE_SECONDS = 60
"""Longer than the longest request (30 s), so that nobody else sends what is still being sent."""

POLL_SECONDS = 0.25
FLUSH_SECONDS = 0.05
LAST_START_SECONDS = 2.0
"""Nothing new is begun so near the deadline (or in the last quarter of a short run): it would be cut off."""

DEFAULT_SCHEDULE = (5.0, 30.0, 180.0)
OVERLOAD_SECONDS = 60.0
REPLY_EXCERPT = 16_384


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request: a reply, or the error that kept it away."""

    started_at: datetime
    milliseconds: float
    reply: OutboundReply | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery: `delivered`, `dead`, or `retry` in so many seconds."""

    outcome: str
    retry_seconds: float | None = None


def judge_attempt(attempt: Attempt, number: int, schedule: tuple[float, ...]) -> Verdict:
    """Standard Webhooks 1.0.0: 2xx is success, all else is tried again after `schedule[number - 1]` seconds.

    A timeout or 429 waits at least 60 s, `Retry-After` up to twice the schedule's delay; ±20 % jitter. 410 and an
    exhausted schedule end it, and so does a body that rendered too large. `number` counts attempts from 1.
    """
    status = attempt.reply.status if attempt.reply else None
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict("delivered")
    if status == HTTPStatus.GONE or isinstance(attempt.problem, TooLarge) or number > len(schedule):
        return Verdict("dead")
    delay = schedule[number - 1]
    if status == HTTPStatus.TOO_MANY_REQUESTS or isinstance(attempt.problem, TimedOut):
        delay = max(delay, OVERLOAD_SECONDS)
    asked = parse_retry_after(attempt.reply.headers, attempt.started_at) if attempt.reply else None
    if asked is not None:
        delay = min(max(asked, delay), 2 * delay)
    return Verdict("retry", delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds asked for by `Retry-After` (seconds or an HTTP date); None when absent or unreadable."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    try:
        return (
            max(0.0, float(text))
            if text[:1].isdigit()
            else (parsedate_to_datetime(text) - now).total_seconds()
        )
    except (ValueError, TypeError):
        return None


async def dispatch_deliveries(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Send what is due until `deadline`, retries that fall due meanwhile too; the counts of `finish_deliveries`."""
    async with OutboundClient() as client:
        return await _Dispatcher(database, client, deadline, pulse).run()


class _Dispatcher:
    """One run: tasks in flight, and the results not yet recorded."""

    def __init__(self, database: Database, client: OutboundClient, deadline: Deadline, pulse: Pulse) -> None:
        self._database = database
        self._client = client
        self._deadline = deadline
        self._pulse = pulse
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._last_start = min(LAST_START_SECONDS, deadline.remaining() / 4)

    async def run(self) -> Counter[str]:
        while not self._deadline.expired:
            leased = await self._lease()
            await self._flush()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=FLUSH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            elif not leased:
                await asyncio.sleep(min(POLL_SECONDS, self._deadline.remaining()))
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._flush()
        return self._counts

    async def _lease(self) -> int:
        room = IN_FLIGHT - len(self._tasks) - len(self._results)
        if room <= 0 or self._deadline.remaining() < self._last_start:
            return 0
        try:
            leased = await asyncio.to_thread(
                self._database.call, "lease_deliveries", p_limit=room, p_lease_seconds=LEASE_SECONDS
            )
        except Problem as problem:
            get_log().warning("deliveries could not be leased", code=problem.code, detail=problem.detail)
            self._counts["failed_leases"] += 1
            return 0
        providers = {key: _try_open(row) for key, row in leased["integrations"].items()}
        for delivery in leased["deliveries"]:
            row = leased["integrations"][delivery["integration_id"]]
            self._start(delivery, row, providers[delivery["integration_id"]])
        return len(leased["deliveries"])

    def _start(self, delivery: dict[str, Any], row: dict[str, Any], provider: Provider | Problem) -> None:
        task = asyncio.create_task(self._deliver(delivery, row, provider))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, delivery: dict[str, Any], row: dict[str, Any], provider: Provider | Problem
    ) -> None:
        with self._pulse.busy():
            attempt = await self._attempt(delivery, row, provider)
            schedule = provider.retry_schedule if isinstance(provider, Subscriber) else DEFAULT_SCHEDULE
            verdict = judge_attempt(attempt, delivery["attempts"], schedule)
            self._results.append(
                _describe_result(delivery, attempt, verdict) | _show_reply(attempt, provider)
            )

    async def _attempt(
        self, delivery: dict[str, Any], row: dict[str, Any], provider: Provider | Problem
    ) -> Attempt:
        started_at, begun = datetime.now(UTC), asyncio.get_running_loop().time()
        reply, problem = None, None
        try:
            request = self._fit(_require(provider).deliver(make_event(delivery, row)))
            reply = await self._client.send(request)
        except Problem as error:
            problem = error
        except Exception:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
            get_log().exception("a delivery could not be sent", delivery=delivery["id"])
            problem = Problem("The request could not be built; the log has the details.")
        milliseconds = (asyncio.get_running_loop().time() - begun) * 1000
        return Attempt(started_at, milliseconds, reply, problem)

    def _fit(self, request: OutboundRequest) -> OutboundRequest:
        seconds = max(0.1, min(request.timeout_seconds, self._deadline.remaining()))
        return replace(request, timeout_seconds=seconds, reply_limit=REPLY_EXCERPT)

    async def _flush(self) -> None:
        results, self._results = self._results, []
        if not results:
            return
        try:
            await self._record(results)
        except Problem as problem:
            # Kept for the next flush; should this process end first, the leases run out and they are sent again.
            get_log().warning("attempts could not be recorded yet", code=problem.code, detail=problem.detail)
            self._results = results + self._results
            await asyncio.sleep(POLL_SECONDS)

    async def _record(self, results: list[dict[str, Any]]) -> None:
        """Record attempts; one that the database can't hold is recorded alone, without its answer."""
        try:
            counts = await asyncio.to_thread(self._database.call, "finish_deliveries", p_results=results)
        except BadRequest:
            if len(results) == 1 and results[0]["reply"] is None:
                raise
            for result in results:
                await self._record([result | {"reply": None}])
            return
        self._counts.update(counts)
        self._pulse.beat()


def _try_open(row: Mapping[str, Any]) -> Provider | Problem:
    try:
        return open_provider(row)
    except Problem as problem:
        return problem


def _require(provider: Provider | Problem) -> Provider:
    if isinstance(provider, Problem):
        raise provider
    return provider


def make_event(delivery: Mapping[str, Any], row: Mapping[str, Any]) -> Event:
    """The event of a delivery of `lease_deliveries`, for the webhook in `row`."""
    source, device = delivery["source"], delivery["device"]
    return Event(
        id=delivery["id"],
        type=delivery["event_type"],
        kind=delivery["kind"] or "event",
        at=delivery["observed_at"] or datetime.now(UTC).isoformat(),
        organization_id=row["organization_id"],
        integration=Identity(
            row["organization_id"],
            source["integration_id"] or "",
            source["integration_type"] or "",
            source["name"] or "",
        ),
        device=EventDevice(**device) if device else None,
        topic=delivery["topic"],
        payload=delivery["payload"],
    )


def _describe_result(delivery: Mapping[str, Any], attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    reply, problem = attempt.reply, attempt.problem
    return {
        "id": delivery["id"],
        "lease_token": delivery["lease_token"],
        "outcome": verdict.outcome,
        "retry_seconds": verdict.retry_seconds,
        "started_at": attempt.started_at,
        "milliseconds": round(attempt.milliseconds),
        "status_code": reply.status if reply else None,
        "error": f"{problem.code}: {problem.detail}"[:2000] if problem else None,
    }


def _show_reply(attempt: Attempt, provider: Provider | Problem) -> dict[str, str | None]:
    """The beginning of the answer, without the secrets that the endpoint may have echoed."""
    if attempt.reply is None or isinstance(provider, Problem):
        return {"reply": None}
    text = attempt.reply.body.decode(errors="replace").replace("\x00", "\ufffd")
    return {"reply": provider.mask_text(text, cut=attempt.reply.truncated)}
