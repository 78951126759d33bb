"""The Prometheus exposition, made from one call of the database, whose sums outlive every process and every prune.

The finest label is the id of an integration. Nothing says whose it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from shared.monitoring.platform_rows import IntegrationSums, PlatformSums
from shared.runtime.outbound.timing import BOUNDS

PREFIX = "device_integrations_"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ANSWERS = ("none", "2xx", "3xx", "4xx", "5xx")

_COUNTERS: tuple[tuple[str, str, str, Mapping[str, str]], ...] = (
    (
        "messages",
        "Messages by what became of them.",
        "outcome",
        {"stored": "stored", "duplicates": "duplicate", "undecoded": "failed"},
    ),
    (
        "deliveries",
        "Deliveries that ended, by how.",
        "outcome",
        {"deliveries": "delivered", "dead": "dead", "cancelled": "cancelled"},
    ),
    ("received_bytes", "Bodies of messages as they came.", "", {"bytes": ""}),
    ("messages_received", "Messages, whatever became of them.", "", {"received": ""}),
    ("deliveries_enqueued", "Deliveries that were queued, replays too.", "", {"enqueued": ""}),
    ("sessions_failed", "Sessions that ended with an error.", "", {"failed_sessions": ""}),
    ("connected_seconds", "How long connections were kept.", "", {"connected_seconds": ""}),
    ("commands_sent", "Commands that the other side has taken.", "", {"commands": ""}),
)
"""Counters of one column, or of several with a label that tells them apart: {column: label}."""

_GAUGES: tuple[tuple[str, str, str], ...] = (
    ("integration_up", "Whether it works: 0 where it fails. Those that are switched off have none.", "up"),
    ("delivery_queue", "Deliveries that wait or are under way, counted up to 10,000.", "queue"),
    ("delivery_oldest_seconds", "How long the oldest delivery has been due.", "oldest_seconds"),
    ("dead_letters", "Deliveries that are dead and kept, counted up to 10,000.", "dead_letters"),
    (
        "ingest_lag_seconds",
        "The longest that a message of the last five minutes was on its way.",
        "lag_seconds",
    ),
    (
        "consumer_lag",
        "Records that a cluster had still to be read when a session saved its place.",
        "consumer_lag",
    ),
    ("last_message_seconds", "How long ago the last message came.", "last_message_seconds"),
)


def write_exposition(sums: PlatformSums) -> str:
    """The text, in the format 0.0.4 that every scraper reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(sums))
    return generate_latest(registry).decode()


class _Sums(Collector):
    def __init__(self, sums: PlatformSums) -> None:
        self._sums = sums

    def collect(self) -> Iterator[Metric]:
        rows = self._sums["integrations"]
        yield from _list_counters(rows)
        yield from _list_gauges(rows)
        yield _show_info(rows)
        yield _show_errors(rows)
        yield _show_answers(rows)
        yield _show_sessions(rows)
        yield _show_times(rows)
        yield _show_certificates(rows)
        yield from _list_platform(self._sums)


def _list_counters(rows: Iterable[IntegrationSums]) -> Iterator[Metric]:
    for name, about, label, columns in _COUNTERS:
        labels = ["integration_id", "integration_type", *([label] if label else [])]
        family = CounterMetricFamily(PREFIX + name, about, labels=labels)
        for row in rows:
            values: Mapping[str, Any] = row
            for column, word in columns.items():
                own = [row["id"], row["integration_type"], *([word] if label else [])]
                family.add_metric(own, values[column] or 0)
        yield family


def _list_gauges(rows: Iterable[IntegrationSums]) -> Iterator[Metric]:
    for name, about, column in _GAUGES:
        family = GaugeMetricFamily(PREFIX + name, about, labels=["integration_id", "integration_type"])
        for row in rows:
            values: Mapping[str, Any] = row
            if values[column] is not None and (column != "up" or row["status"] != "inactive"):
                family.add_metric([row["id"], row["integration_type"]], values[column])
        yield family


def _show_info(rows: Iterable[IntegrationSums]) -> Metric:
    labels = ["integration_id", "integration_type", "name", "status"]
    family = GaugeMetricFamily(f"{PREFIX}integration_info", "What it is called; always 1.", labels=labels)
    for row in rows:
        family.add_metric([row["id"], row["integration_type"], row["name"], row["status"]], 1)
    return family


def _show_errors(rows: Iterable[IntegrationSums]) -> Metric:
    counts = [(row, sorted((row["errors"] or {}).items())) for row in rows]
    return _count("errors", "What went wrong, by kind: 30 kinds and other.", "kind", counts)


def _show_answers(rows: Iterable[IntegrationSums]) -> Metric:
    counts = [(row, zip(ANSWERS, row["answers"] or [], strict=False)) for row in rows]
    return _count("delivery_attempts", "Attempts of deliveries by what was answered.", "status_class", counts)


def _count(
    name: str, about: str, label: str, counts: Iterable[tuple[IntegrationSums, Iterable[tuple[str, int]]]]
) -> Metric:
    family = CounterMetricFamily(PREFIX + name, about, labels=["integration_id", "integration_type", label])
    for row, counted in counts:
        for value, count in counted:
            family.add_metric([row["id"], row["integration_type"], value], count)
    return family


def _show_sessions(rows: Iterable[IntegrationSums]) -> Metric:
    family = SummaryMetricFamily(
        f"{PREFIX}session_duration_seconds",
        "How long sessions took that ended.",
        labels=["integration_id", "integration_type"],
    )
    for row in rows:
        count, seconds = row["sessions"] or 0, row["session_seconds"] or 0.0
        family.add_metric([row["id"], row["integration_type"]], count, seconds)
    return family


def _show_times(rows: Iterable[IntegrationSums]) -> Metric:
    family = HistogramMetricFamily(
        f"{PREFIX}response_seconds",
        "How long the other side took to answer.",
        labels=["integration_id", "integration_type"],
    )
    bounds = [*(f"{bound / 1000:g}" for bound in BOUNDS), "+Inf"]
    for row in rows:
        if row["response_ms"]:
            buckets = list(zip(bounds, map(float, accumulate(row["response_ms"])), strict=True))
            seconds = (row["response_ms_sum"] or 0) / 1000
            family.add_metric([row["id"], row["integration_type"]], buckets, seconds)
    return family


def _show_certificates(rows: Iterable[IntegrationSums]) -> Metric:
    family = GaugeMetricFamily(
        f"{PREFIX}certificate_expiry_seconds",
        "In how long a certificate of its connection ends; less than 0 once it has.",
        labels=["integration_id", "integration_type", "certificate"],
    )
    for row in rows:
        for certificate, ends in sorted((row["certificates"] or {}).items()):
            family.add_metric([row["id"], row["integration_type"], certificate], ends - time.time())
    return family


def _list_platform(sums: PlatformSums) -> Iterator[Metric]:
    words = "Integrations by status, those that no more is told of among them."
    yield _count_by("integrations", words, "status", sums["statuses"])
    yield _count_by("devices", "Devices by status.", "status", sums["devices"])
    yield _count_by("commands", "Commands that are still to be sent, by status.", "status", sums["commands"])
    alerts = GaugeMetricFamily(f"{PREFIX}alerts_open", "Open alerts.", labels=["kind", "level"])
    for alert in sums["alerts"]:
        alerts.add_metric([alert["kind"], alert["level"]], alert["n"])
    yield alerts
    seen = GaugeMetricFamily(
        f"{PREFIX}scheduler_last_seen_seconds", "How long ago a tick or a worker was at work."
    )
    if sums["scheduler_last_seen_seconds"] is not None:
        seen.add_metric([], sums["scheduler_last_seen_seconds"])
    yield seen


def _count_by(name: str, about: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
