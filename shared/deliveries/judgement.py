"""What becomes of a delivery after an attempt: delivered, redelivery by the retry schedule, or dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from shared.deliveries.attempt import Attempt
from shared.runtime.backoff import parse_retry_after, vary_pause
from shared.runtime.errors import TimedOut, TooLarge

OVERLOAD_SECONDS = 60.0


@dataclass(slots=True)  # not frozen, as Attempt
class Judgement:
    """What becomes of the delivery; a retry is due in so many seconds, and `unsent` leaves it as it was."""

    outcome: Literal["delivered", "dead", "retry", "unsent"]
    retry_seconds: float | None = None


def judge_attempt(attempt: Attempt, number: int, schedule: tuple[float, ...]) -> Judgement:
    """Success, the end, or another try after `schedule[number - 1]` seconds; `number` counts attempts from 1.

    Never sooner than 60 s after a timeout or 429, nor than `Retry-After` asks, up to twice the delay; jitter is ±20 %
    of the schedule and up to 20 % more than what was asked for.
    """
    if attempt.problem is None and (attempt.reply is None or _is_success(attempt.reply.status)):
        return Judgement("delivered")
    if _ends(attempt) or number > len(schedule):
        return Judgement("dead")
    delay, least = schedule[number - 1], 0.0
    if _read_status(attempt) == HTTPStatus.TOO_MANY_REQUESTS or isinstance(attempt.problem, TimedOut):
        least = OVERLOAD_SECONDS
    told = attempt.reply or attempt.problem
    asked = parse_retry_after(told.headers, attempt.started_at) if told else None
    if asked is not None:
        least = max(least, min(asked, 2 * max(delay, least)))
    return Judgement("retry", max(vary_pause(delay), vary_pause(least, less=0)))


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _ends(attempt: Attempt) -> bool:
    """Whether no other try would help, whatever the schedule says.

    Over HTTP by a rule on top of the table of `is_final_status`, Standard Webhooks 1.0.0: of all that is final there,
    only 410 ends a delivery, for an endpoint that answers 404 or 401 today may be mended before the schedule is over.
    What a provider publishes itself ends by the table. Both end with what is too large.
    """
    if attempt.reply:
        return attempt.reply.status == HTTPStatus.GONE
    if attempt.is_published and attempt.problem:
        return attempt.problem.is_final
    return isinstance(attempt.problem, TooLarge)


def _read_status(attempt: Attempt) -> int:
    if attempt.reply:
        return attempt.reply.status
    return attempt.problem.answered if attempt.problem else 0
