"""One trace from what is pushed, or a session's batch, over SQL to the delivery, as a collector hears it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scripts.local.stack import ROOT
from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.fakes.brokers import make_mosquitto
from tests.fakes.http_receiver import HttpReceiver
from tests.fakes.otlp_receiver import OtlpReceiver, SeenSpan
from tests.platform import Platform, run_tick
from tests.stack import Serve, Stack
from tests.waiting import wait_until

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OBSERVED = """
from shared.runtime.telemetry import observe
for _ in range(2_000):
    with observe("server", "GET"):
        pass
"""
IMPORTED = """
import sys, functions.integrations, functions.receive, functions.scheduler, shared.scheduler.worker
from shared.runtime.telemetry import observe
with observe("server", "x") as observed:
    assert observed is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    """What the traced stack sends its spans to."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def traced(new_serve: Callable[..., Serve], collector: OtlpReceiver) -> Platform:
    """The admin of a stack of its own, whose functions tell the collector."""
    stack = new_serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **QUICK).start()
    return Platform(stack, stack.user("admin"))


def make_traceparent() -> str:
    """A trace of somebody else's."""
    return f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"


def connect_receiver(admin: Platform) -> tuple[str, str]:
    """An integration that is pushed to: its address and its secret."""
    body: dict[str, Any] = {
        "organization_id": admin.user.organization_id,
        "integration_type": "http",
        "name": str(uuid.uuid4()),
        "config": {},
    }
    reply = admin.call("POST", "/integrations", json=body)
    assert reply.status_code == 201, reply.text
    created = reply.json()
    address = f"{admin.stack.url}/functions/v1/receive/{created['integration']['id']}"
    return address, created["generated"]["webhook_secret"]


def push(address: str, secret: str, traceparent: str | None = None) -> None:
    """One reading, with a trace where one is given."""
    headers = {"X-Webhook-Secret": secret, "Content-Type": "application/json"}
    headers |= {"traceparent": traceparent} if traceparent else {}
    reply = httpx.post(address, json={"device": "pump", "temperature": 21.5}, headers=headers, timeout=60)
    assert reply.status_code == 202, reply.text


def find_trace(collector: OtlpReceiver, trace_id: str, *names: str) -> dict[str, SeenSpan]:
    """The spans of a trace by their names, once all of these are there."""

    def found() -> dict[str, SeenSpan]:
        return {span.name: span for span in collector.list_spans() if span.trace_id == trace_id}

    wait_until(lambda: set(names) <= found().keys(), f"{names} are not in {found().keys()}", 0.1)
    return found()


def test_push_sql_and_delivery_are_one_trace(traced: Platform, collector: OtlpReceiver) -> None:
    traceparent = make_traceparent()
    with HttpReceiver() as endpoint:
        traced.create("webhook", {"url": endpoint.url})
        push(*connect_receiver(traced), traceparent)
        run_tick(traced.stack)
        wait_until(lambda: endpoint.requests, "nothing was delivered")
        sent = endpoint.requests[0].headers["traceparent"]

    _, trace_id, sender, _ = traceparent.split("-")
    names = ("POST /receive/{id}", "rpc/receive_messages", "deliver", "POST")
    spans = find_trace(collector, trace_id, *names)
    served, sql, delivery, call = (spans[name] for name in names)
    assert served.parent_id == sender
    assert sql.parent_id == delivery.parent_id == served.span_id
    assert call.parent_id == delivery.span_id
    assert sent == f"00-{trace_id}-{delivery.span_id}-01"
    assert call.attributes["server.address"] == "127.0.0.1"
    (message,) = traced.rows("device_messages", select="metadata")
    assert message["metadata"] == {"traceparent": f"00-{trace_id}-{served.span_id}-01"}


def test_a_batch_of_a_session_is_a_trace_too(traced: Platform, collector: OtlpReceiver) -> None:
    prefix = uuid.uuid4().hex
    with HttpReceiver() as endpoint:
        traced.create("webhook", {"url": endpoint.url})
        connect_broker(traced, prefix)
        publish(traced.stack, readings(prefix, 1))
        run_tick(traced.stack)
        wait_until(lambda: endpoint.requests, "nothing was delivered")
        trace_id = endpoint.requests[0].headers["traceparent"].split("-")[1]

    spans = find_trace(collector, trace_id, "process mqtt", "rpc/ingest_batch", "deliver", "POST")
    batch = spans["process mqtt"]
    assert batch.parent_id == ""
    assert spans["rpc/ingest_batch"].parent_id == spans["deliver"].parent_id == batch.span_id
    assert batch.attributes["messaging.batch.message_count"] == 1


def test_response_times_are_measured_by_route(traced: Platform, collector: OtlpReceiver) -> None:
    push(*connect_receiver(traced))
    traced.call("GET", f"/integrations/{uuid.uuid4()}")
    traced.call("GET", "/integrations/nothing/like/this")

    def routes() -> set[Any]:
        points = collector.list_metrics().get("http.server.request.duration", [])
        return {(point.get("http.route"), point["http.response.status_code"]) for point in points}

    wanted = {("/receive/{id}", 202), ("/integrations/{id}", 404), (None, 404), ("/integrations", 201)}
    wait_until(lambda: wanted <= routes(), f"{wanted - routes()} are missing", 0.2)
    # Of few values each: no id, no host.
    for points in collector.list_metrics().values():
        assert all(str(value).count("-") < 4 for point in points for value in point.values())


def test_without_a_collector_a_trace_still_goes_through(admin: Platform, stack: Stack) -> None:
    traceparent = make_traceparent()
    with HttpReceiver() as endpoint:
        admin.create("webhook", {"url": endpoint.url})
        push(*connect_receiver(admin), traceparent)
        run_tick(stack)
        wait_until(lambda: endpoint.requests, "nothing was delivered")

    assert [request.headers.get("traceparent") for request in endpoint.requests] == [traceparent]


@pytest.mark.parametrize("sent", ["", "nonsense", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "x" * 4_000])
def test_what_is_no_traceparent_goes_no_further(admin: Platform, stack: Stack, sent: str) -> None:
    with HttpReceiver() as endpoint:
        admin.create("webhook", {"url": endpoint.url})
        push(*connect_receiver(admin), sent)
        run_tick(stack)
        wait_until(lambda: endpoint.requests, "nothing was delivered")

    assert "traceparent" not in endpoint.requests[0].headers


def test_nothing_of_opentelemetry_is_imported_where_nobody_asked_for_it() -> None:
    environment = {"PATH": "", "SUPABASE_URL": "https://example.supabase.co", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_collector_that_does_not_answer_holds_no_process_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as collector:
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        environment = {"PATH": "", "SUPABASE_URL": "https://example.supabase.co", "PYTHONPATH": str(ROOT)}
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", OBSERVED],
            env=environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    # All that waits would take ten seconds a batch.
    assert time.monotonic() - begun < 30


def publish_traced(port: int, topic: str, properties: list[tuple[str, str]]) -> None:
    """One message by MQTT 5, with these user properties."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    told = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    told.UserProperty = properties
    client.publish(topic, b'{"temperature": 1}', qos=1, properties=told).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize(
    ("properties", "passed"),
    [
        ([("traceparent", TRACE)], TRACE),
        ([("first", "x" * 300), ("traceparent", TRACE), ("last", "y")], TRACE),
        ([("traceparent", TRACE[:-1] + "x")], None),
        ([("tracestate", TRACE), ("other", f"traceparent {TRACE}")], None),
    ],
)
def test_a_device_brings_its_trace_by_mqtt_5(
    admin: Platform, stack: Stack, tmp_path: Path, properties: list[tuple[str, str]], passed: str | None
) -> None:
    prefix = uuid.uuid4().hex
    with make_mosquitto(tmp_path) as broker, HttpReceiver() as endpoint:
        admin.create("webhook", {"url": endpoint.url})
        config = {"broker_url": "mqtt://127.0.0.1", "port": broker.port, "topics": f"{prefix}/#"}
        source = admin.create("mqtt", config)
        run_tick(stack)
        publish_traced(broker.port, f"{prefix}/a", properties)
        run_tick(stack)
        (message,) = admin.rows("device_messages", integration_id=f"eq.{source['id']}", select="metadata")
        admin.call("DELETE", f"/integrations/{source['id']}")

    assert message["metadata"] == ({"traceparent": passed} if passed else None)
    assert [request.headers.get("traceparent") for request in endpoint.requests] == [passed]
