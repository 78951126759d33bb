"""An OpenTelemetry collector on a real socket: what comes by OTLP over HTTP, as spans and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fakes.http_receiver import Answer, HttpReceiver


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One span; ids in hex."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]


class OtlpReceiver(HttpReceiver):
    """Use it in a `with`: `endpoint` is OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self) -> None:
        super().__init__(lambda _: Answer(200, b"", {"Content-Type": "application/x-protobuf"}))
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def list_spans(self) -> list[SeenSpan]:
        """All spans so far."""
        return list(self._read_spans())

    def list_metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The attributes of each data point of each metric so far."""
        seen: dict[str, list[dict[str, Any]]] = {}
        for body in self._read_bodies("/v1/metrics"):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                    points = seen.setdefault(metric.name, [])
                    points += [_read_attributes(point.attributes) for point in metric.histogram.data_points]
        return seen

    @property
    def heard(self) -> bytes:
        """Everything that came, headers too."""
        return b"\n".join(request.body + str(request.headers).encode() for request in list(self.requests))

    def _read_bodies(self, path: str) -> Iterator[bytes]:
        yield from (request.body for request in list(self.requests) if request.path == path)

    def _read_spans(self) -> Iterator[SeenSpan]:
        for body in self._read_bodies("/v1/traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for span in (each for scope in resource.scope_spans for each in scope.spans):
                    yield SeenSpan(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        _read_attributes(span.attributes),
                    )


def _read_attributes(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
