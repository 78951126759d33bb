"""What came of an attempt, and what becomes of its delivery."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from shared.errors import Problem, TimedOut, TooLarge
from shared.outbound import OutboundReply

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
