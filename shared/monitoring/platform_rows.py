"""What `read_platform_metrics` answers: of each integration its sums and its state, and of the platform what waits."""

from __future__ import annotations

from typing import TypedDict


class IntegrationSums(TypedDict):
    """One integration. Sums are null where nothing was counted, ages where nothing ever came."""

    id: str
    integration_type: str
    name: str
    status: str
    up: int
    received: int | None
    stored: int | None
    duplicates: int | None
    undecoded: int | None
    bytes: int | None
    last_message_seconds: float | None
    lag_seconds: float | None
    consumer_lag: int | None
    """Of what reads a cluster: how many records there were still to read when it saved its place."""
    sessions: int | None
    failed_sessions: int | None
    session_seconds: float | None
    connected_seconds: float | None
    enqueued: int | None
    deliveries: int | None
    dead: int | None
    cancelled: int | None
    commands: int | None
    answers: list[int] | None
    """Attempts that were answered with nothing, 2xx, 3xx, 4xx, 5xx."""
    errors: dict[str, int] | None
    response_ms: list[int] | None
    response_ms_sum: float | None
    queue: int | None
    oldest_seconds: float | None
    dead_letters: int | None
    certificates: dict[str, float] | None
    """When they end, in seconds since 1970."""


class OpenAlerts(TypedDict):
    """How many alerts of a kind and level are open."""

    kind: str
    level: str
    n: int


class PlatformSums(TypedDict):
    """All of it."""

    integrations: list[IntegrationSums]
    """The 5,000 oldest."""
    statuses: dict[str, int]
    """How many integrations there are, by status."""
    devices: dict[str, int]
    commands: dict[str, int]
    alerts: list[OpenAlerts]
    scheduler_last_seen_seconds: float | None
