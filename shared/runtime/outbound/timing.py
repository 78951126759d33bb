"""What calls to the other side tell of it: how long its answers took, and until when its certificates hold.

Times are counted in buckets as `integration_metrics.response_ms` has them.
"""

from __future__ import annotations

from bisect import bisect_left
from contextvars import ContextVar

BOUNDS = (5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
"""Milliseconds up to which a bucket counts; the last one has no bound. The advice of OpenTelemetry."""


class CallTimes:
    """The calls of one session, job, command or publication.

    `certificate` is when that of the other side begins and ends to hold, in seconds since 1970: of several the one that
    ends first; None without TLS.
    """

    def __init__(self) -> None:
        self.certificate: tuple[float, float] | None = None
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one call."""
        self._buckets[bisect_left(BOUNDS, milliseconds)] += 1
        self._sum += milliseconds

    def meet(self, certificate: tuple[float, float]) -> None:
        """Keep it if it ends before the one that is kept."""
        if self.certificate is None or certificate[1] < self.certificate[1]:
            self.certificate = certificate

    def describe(self) -> dict[str, object]:
        """As `finish_session` takes them; nothing where there was no call."""
        told: dict[str, object] = {"certificate": self.certificate} if self.certificate else {}
        if any(self._buckets):
            told |= {"response_ms": self._buckets, "response_ms_sum": round(self._sum, 1)}
        return told


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


def note_certificate(certificate: tuple[float, float] | None) -> None:
    """What the other side has shown, if anything: when its certificate begins and ends to hold."""
    if certificate and (times := _times.get()):
        times.meet(certificate)
