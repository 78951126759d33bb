"""OpenTelemetry's SDK, set up: spans and histograms go to OTEL_EXPORTER_OTLP_ENDPOINT by OTLP over HTTP, in batches.

Only `shared.runtime.telemetry` imports this, and only where that is set. The SDK reads its own variables besides, such
as OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_METRIC_EXPORT_INTERVAL and OTEL_RESOURCE_ATTRIBUTES.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from shared import __version__
from shared.runtime.problem import Problem
from shared.runtime.telemetry import Signal, Value

NAME = "device-integrations"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds that the semantic conventions advise."""

CLOSE_SECONDS = 5.0
"""How long the end of a process may wait for a collector to take what is left."""

MOST_LINKS = 32
KINDS: dict[Signal, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "db": SpanKind.CLIENT,
    "batch": SpanKind.CONSUMER,
    "delivery": SpanKind.PRODUCER,
}
HISTOGRAMS: dict[Signal, str] = {
    "server": "http.server.request.duration",
    "client": "http.client.request.duration",
    "db": "db.client.operation.duration",
    "batch": "messaging.process.duration",
    "delivery": "messaging.client.operation.duration",
}
CHILDREN = frozenset[Signal]({"db", "client"})
"""Spans of these only belong to others: a worker that looks for what is due asks the database many times a second."""

COUNTED = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "db.operation.name",
        "messaging.system",
        "messaging.operation.name",
        "error.type",
    }
)
"""The attributes that metrics have too: of few values each. Hosts and ids are in spans alone."""


class Observed:
    """What is being observed."""

    def __init__(self, span: Span, attributes: Mapping[str, Value]) -> None:
        self.attributes = dict(attributes)
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """What names it to others, as W3C Trace Context has it; None where it is in no trace."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def add(self, name: str, value: Value) -> None:
        """Say one thing more of it."""
        self.attributes[name] = value
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        """Call it what it turned out to be."""
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """It failed; `kind` is one of few."""
        self.add("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


class Telemetry:
    """The tracer and the histograms of one process; what is left is sent at its end."""

    def __init__(self) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or NAME
        resource = Resource.create({"service.name": name, "service.version": __version__})
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer(NAME, __version__)
        meter = self._metrics.get_meter(NAME, __version__)
        self._histograms = {
            signal: meter.create_histogram(histogram, "s", explicit_bucket_boundaries_advisory=SECONDS)
            for signal, histogram in HISTOGRAMS.items()
        }
        self._ending = threading.Event()
        # Begun now: at the end of a process there are no new threads.
        self._closing = threading.Thread(target=self._close_all, name="telemetry", daemon=True)
        self._closing.start()
        atexit.register(self.close)

    @contextmanager
    def observe(
        self,
        signal: Signal,
        name: str,
        attributes: Mapping[str, Value],
        parent: str | None,
        links: Iterable[str],
    ) -> Iterator[Observed]:
        """See `shared.runtime.telemetry.observe`."""
        begun = time.perf_counter()
        span = self._start_span(signal, name, attributes, parent, links)
        observed = Observed(span, attributes)
        try:
            with trace.use_span(
                span, end_on_exit=True, record_exception=False, set_status_on_exception=False
            ):
                try:
                    yield observed
                except BaseException as error:
                    observed.fail(error.code if isinstance(error, Problem) else type(error).__name__)
                    raise
        finally:
            counted = {key: value for key, value in observed.attributes.items() if key in COUNTED}
            self._histograms[signal].record(time.perf_counter() - begun, counted)

    def _start_span(
        self,
        signal: Signal,
        name: str,
        attributes: Mapping[str, Value],
        parent: str | None,
        links: Iterable[str],
    ) -> Span:
        around = trace.get_current_span().get_span_context()
        if signal in CHILDREN and not parent and not around.is_valid:
            return INVALID_SPAN
        return self._tracer.start_span(
            name,
            trace.set_span_in_context(NonRecordingSpan(_read_context(parent)), Context()) if parent else None,
            KINDS[signal],
            attributes,
            [Link(_read_context(link)) for link in islice(links, MOST_LINKS)],
        )

    def flush(self) -> None:
        """Send what there is now."""
        self._traces.force_flush()
        self._metrics.force_flush()

    def close(self) -> None:
        """Send what is left and end, within `CLOSE_SECONDS`."""
        self._ending.set()
        self._closing.join(CLOSE_SECONDS)

    def _close_all(self) -> None:
        self._ending.wait()
        self._traces.shutdown()
        self._metrics.shutdown()


def _read_context(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
