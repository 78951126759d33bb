"""Which metrics of an integration are asked for, and what they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from typing_extensions import TypedDict

from shared.runtime.bodies import Instant, Moment, Query

Step = Literal["minute", "hour", "day"]


class MetricsQuery(Query):
    """Which time, in which steps."""

    from_: Instant | None = Field(None, alias="from")
    """From the step that this is in; unless told an hour of minutes, a day of hours or 30 days."""
    to: Instant | None = None
    """Up to then, now at most; unless told, now."""
    step: Step = "minute"
    """What one point stands for, in UTC."""


class ResponseTimes(TypedDict):
    """About how long the other side's answers took, in milliseconds; null where there was none."""

    p50: float | None
    p95: float | None


class MetricsPoint(TypedDict):
    """One minute, hour or day. received = stored + duplicates + failed."""

    at: Moment
    received: int
    stored: int
    duplicates: int
    failed: int
    bytes: int
    lag_seconds: float | None
    """The longest that a message was on its way, by its device's clock."""
    sessions: int
    failed_sessions: int
    connect_ms: float | None
    """How long connecting took, on average."""
    uptime_ratio: float | None
    """The share of the time with a connection; of what is polled, the share of sessions that went well."""
    enqueued: int
    deliveries: int
    """Delivered."""
    attempts: int
    dead: int
    cancelled: int
    errors: dict[str, int]
    response_ms: ResponseTimes
    commands: int


class MetricsSeries(TypedDict):
    """A point for each step, also where nothing happened."""

    series: list[MetricsPoint]
