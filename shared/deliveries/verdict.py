"""What came of an attempt, and what becomes of its delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from shared.runtime.backoff import parse_retry_after, vary_pause
from shared.runtime.errors import Problem, TimedOut, TooLarge
from shared.runtime.outbound import OutboundReply

OVERLOAD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request: a reply, or the error that kept it away."""

    started_at: datetime
    milliseconds: float
    reply: OutboundReply | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery: `delivered`, `dead`, `retry` in so many seconds, or `unsent`."""

    outcome: str
    retry_seconds: float | None = None


def judge_attempt(attempt: Attempt, number: int, schedule: tuple[float, ...]) -> Verdict:
    """Standard Webhooks 1.0.0: 2xx is success, all else is tried again after `schedule[number - 1]` seconds.

    A rule on top of the table of `is_final_status`: of all that is final there, only 410 ends a delivery, for whoever
    answers 404 or 401 today may be mended before the schedule is over.

    Never sooner than 60 s after a timeout or 429, nor than `Retry-After` asks, up to twice the delay; jitter is ±20 %
    of the schedule and up to 20 % more than what was asked for. 410 and an exhausted schedule end it, and so does a
    body that rendered too large. `number` counts attempts from 1.
    """
    status = attempt.reply.status if attempt.reply else None
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict("delivered")
    if status == HTTPStatus.GONE or isinstance(attempt.problem, TooLarge) or number > len(schedule):
        return Verdict("dead")
    delay, least = schedule[number - 1], 0.0
    if status == HTTPStatus.TOO_MANY_REQUESTS or isinstance(attempt.problem, TimedOut):
        least = OVERLOAD_SECONDS
    asked = parse_retry_after(attempt.reply.headers, attempt.started_at) if attempt.reply else None
    if asked is not None:
        least = max(least, min(asked, 2 * max(delay, least)))
    return Verdict("retry", max(vary_pause(delay), vary_pause(least, less=0)))
