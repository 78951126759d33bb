"""How long the other side's answers took, counted in buckets as `integration_metrics.response_ms` has them."""

from __future__ import annotations

from bisect import bisect_left
from contextvars import ContextVar

BOUNDS = (5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
"""Milliseconds up to which a bucket counts; the last one has no bound. The advice of OpenTelemetry."""


class CallTimes:
    """The calls of one session."""

    def __init__(self) -> None:
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one call."""
        self._buckets[bisect_left(BOUNDS, milliseconds)] += 1
        self._sum += milliseconds

    def describe(self) -> dict[str, object]:
        """As `finish_session` takes them; nothing where there was no call."""
        if not any(self._buckets):
            return {}
        return {"response_ms": self._buckets, "response_ms_sum": round(self._sum, 1)}


_times: ContextVar[CallTimes | None] = ContextVar("call_times", default=None)


def time_calls() -> CallTimes:
    """Count the calls that this thread makes from now on, until the next one that does."""
    times = CallTimes()
    _times.set(times)
    return times


def note_call(milliseconds: float) -> None:
    """One call has ended."""
    if times := _times.get():
        times.add(milliseconds)
