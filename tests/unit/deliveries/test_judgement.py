"""What becomes of a delivery after an attempt."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from datetime import UTC, datetime

import pytest

from shared.deliveries import Attempt, judge_attempt
from shared.deliveries.attempt import make_attempt
from shared.runtime.errors import (
    ConnectionRefused,
    Problem,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    TooLarge,
)
from shared.runtime.outbound import OutboundClient, OutboundReply, OutboundRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = (10.0, 100.0)


def answered(status: int, **headers: str) -> Attempt:
    return Attempt(NOW, 5, reply=OutboundReply(status, headers, b"", truncated=False, milliseconds=5.0))


def failed(problem: Problem) -> Attempt:
    return Attempt(NOW, 5, problem=problem)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_is_success(status: int) -> None:
    assert judge_attempt(answered(status), 1, SCHEDULE).outcome == "delivered"


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 500, 502, 503])
def test_every_other_answer_is_tried_again_within_jitter_of_the_schedule(status: int) -> None:
    verdict = judge_attempt(answered(status), 2, SCHEDULE)

    assert verdict.outcome == "retry"
    assert 80 <= (verdict.retry_seconds or 0) <= 120


def test_after_the_last_retry_it_is_dead() -> None:
    assert judge_attempt(answered(500), 3, SCHEDULE).outcome == "dead"


def test_gone_is_not_tried_again() -> None:
    assert judge_attempt(answered(410), 1, SCHEDULE).outcome == "dead"


def test_a_body_that_renders_too_large_is_not_tried_again() -> None:
    assert judge_attempt(failed(TooLarge()), 1, SCHEDULE).outcome == "dead"


@pytest.mark.parametrize("attempt", [answered(429), failed(TimedOut())])
def test_overload_waits_at_least_a_minute(attempt: Attempt) -> None:
    verdict = judge_attempt(attempt, 1, SCHEDULE)

    assert 60 <= (verdict.retry_seconds or 0) <= 72


def test_a_refused_connection_follows_the_schedule() -> None:
    verdict = judge_attempt(failed(ConnectionRefused()), 1, SCHEDULE)

    assert 8 <= (verdict.retry_seconds or 0) <= 12


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        ("15", 15, 18),
        ("Thu, 01 Jan 2026 00:00:15 GMT", 15, 18),
        ("1", 8, 12),
        ("9999", 20, 24),
        ("Fri, 02 Jan 2026 00:00:00 GMT", 20, 24),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 8, 12),
        ("soon", 8, 12),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", 8, 12),
    ],
)
def test_retry_after_is_honoured_between_once_and_twice_the_schedule(
    asked: str, low: float, high: float
) -> None:
    verdict = judge_attempt(answered(503, **{"Retry-After": asked}), 1, SCHEDULE)

    assert low <= (verdict.retry_seconds or 0) <= high


class FlakyClient(OutboundClient):
    """Raises what it was given, one after the other, then answers."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = list(problems)

    async def send(self, _: OutboundRequest, within: float = math.inf) -> OutboundReply:  # noqa: ARG002 - its signature
        if self.problems:
            raise self.problems.pop(0)
        return OutboundReply(200, {}, b"", truncated=False, milliseconds=1.0)


def attempt_with(*problems: Problem) -> Attempt:
    request = OutboundRequest("POST", "https://a.test/")
    return asyncio.run(make_attempt(FlakyClient(*problems), request, 30))


@pytest.mark.parametrize(("asked", "low", "high"), [(None, 60, 72), (90.0, 90, 108), (9_999.0, 120, 144)])
def test_what_a_provider_was_asked_to_wait_is_heeded_like_any_retry_after(
    asked: float | None, low: float, high: float
) -> None:
    refused = ProviderRefused("Not now.", answered=429, retry_after=asked)
    verdict = judge_attempt(Attempt(NOW, 5, problem=refused, is_published=True), 1, SCHEDULE)

    assert verdict.outcome == "retry"
    assert low <= (verdict.retry_seconds or 0) <= high


def test_what_a_try_met_is_gone_with_it_without_the_collector() -> None:
    collects = gc.isenabled()
    gc.disable()
    try:
        attempt = attempt_with(TimedOut())
        problem = weakref.ref(attempt.problem)
        del attempt

        assert problem() is None
    finally:
        if collects:
            gc.enable()


def test_what_failed_before_anything_was_sent_is_tried_again_at_once_and_only_once() -> None:
    once, twice = attempt_with(ConnectionRefused()), attempt_with(ConnectionRefused(), ConnectionRefused())

    assert once.reply is not None
    assert isinstance(twice.problem, ConnectionRefused)


def test_what_may_have_been_heard_is_not_repeated_at_once() -> None:
    assert isinstance(attempt_with(ProtocolFailed()).problem, ProtocolFailed)
