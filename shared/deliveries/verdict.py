"""What came of an attempt, and what becomes of its delivery."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from shared.runtime.errors import Problem, TimedOut, TooLarge
from shared.runtime.outbound import OutboundReply

OVERLOAD_SECONDS = 60.0
JITTER = 0.2


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
    more = random.uniform(0, JITTER)  # noqa: S311 - jitter, not a secret
    return Verdict("retry", max(delay * (1 - JITTER + 2 * more), least * (1 + more)))


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
