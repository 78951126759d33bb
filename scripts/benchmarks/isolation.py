"""What an organization that misuses everything costs another, in the 99th percentile of all that the other does.

One worker serves a quiet organization: a message a moment to its webhook, from its broker, to its receiver, a command
to its device and a job; first alone, then beside an organization with 40 endpoints and 400 brokers that answer after
25 s, 20,000 deliveries to them, a storm of alerts for 500 people by 10 mail servers that never greet, 800 commands,
1,300 jobs, senders that prove nothing, and a third one whose codec hangs once a second over MQTT and over HTTP. What
the quiet one receives its own codec decodes. Each `…_ratio` is twice the p99 beside them over the larger of twice the
p99 alone and 250 ms more than alone: 2 is the bound. `worker_mb` is the most memory the worker had.
"""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._caller import sign_in
from scripts.benchmarks._endpoint import start_endpoint
from scripts.benchmarks._hostile import (
    make_device,
    make_hanging_codec,
    make_integration,
    misuse_everything,
    publish_to_hang,
    push_to_hang,
    push_unproven,
    start_slow_endpoint,
)
from scripts.benchmarks._messages import make_batch
from scripts.benchmarks._mosquitto import start_mosquitto, wait_until
from scripts.benchmarks._publisher import publish_messages
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service, make_codec
from scripts.benchmarks._workers import Worker, start_worker
from scripts.local.stack import Report

PARTS = ("deliveries", "sessions", "commands", "jobs", "receive")
REACH = {f"{part}_p99_ratio": "≤ 2" for part in PARTS} | {"worker_mb": "< 400 MB"}
ALLOWANCE_MS = 250.0
EACH_SECONDS = 0.1
SETTLE_SECONDS, PATIENCE_SECONDS = 6.0, 120.0
HOSTILE_BATCHES, HOSTILE_DEVICES = 1, 100
REFUSED_CONNECTIONS = 4
PARSE = "function decodeUplink(input) { return { data: JSON.parse(input.text) }; }"
RECEIVE = "/functions/v1/golioth-webhook"
INGEST = "select public.ingest_messages(%s, %s)"
SUBSCRIBED = "select state <> '{}' from public.integration_schedules where integration_id = %s"
LATENCIES = {
    "deliveries": """
      select extract(epoch from a.started_at + make_interval(secs => a.milliseconds / 1000.0) - d.created_at) * 1000
        from public.webhook_attempts a join public.webhook_deliveries d on d.id = a.delivery_id
       where d.integration_id = %(webhook)s and d.created_at > %(since)s
    """,
    "sessions": """
      select (extract(epoch from received_at) - (payload ->> 'sent')::float) * 1000
        from public.device_messages where integration_id = %(broker)s and received_at > %(since)s
    """,
    "commands": """
      select extract(epoch from coalesce(finished_at, now()) - created_at) * 1000
        from public.device_commands where integration_id = %(broker)s and created_at > %(since)s
    """,
    "jobs": """
      select extract(epoch from coalesce(finished_at, now()) - created_at) * 1000
        from public.integration_jobs where integration_id = %(broker)s and created_at > %(since)s
    """,
}
COMMAND = """
insert into public.device_commands (organization_id, integration_id, device_id, name) values (%s, %s, %s, 'bench')
"""
JOB = """
insert into public.integration_jobs (organization_id, integration_id, kind)
select %s, %s, 'sync' where not exists (
  select from public.integration_jobs where integration_id = %s and status in ('pending', 'running'))
"""


@dataclass(slots=True)
class Quiet:
    """The organization that is measured, and what it has."""

    report: Report
    connection: psycopg.Connection
    worker: Worker
    organization_id: str
    port: int
    ids: dict[str, str]
    push: Callable[[], float]
    received: list[float] = field(default_factory=list)
    memory_mb: float = 0.0

    def measure(self, rounds: Iterator[int], settle_seconds: float) -> dict[str, float]:
        """The 99th percentiles of so many rounds, in milliseconds."""
        row = self.connection.execute("select clock_timestamp()").fetchone()
        self.received = []
        for number in rounds:
            begun = time.perf_counter()
            self._do_all(number)
            self.memory_mb = max(self.memory_mb, self.worker.memory_mb)
            time.sleep(max(0.0, EACH_SECONDS - (time.perf_counter() - begun)))
        time.sleep(settle_seconds / 2)
        values = {"since": row[0] if row else None, **self.ids}
        wait_until(lambda: all(self._read(part, values) for part in PARTS), PATIENCE_SECONDS, "All of it")
        return {part: _find_p99(self._read(part, values)) for part in PARTS}

    def _do_all(self, number: int) -> None:
        organization_id, broker = self.organization_id, self.ids["broker"]
        self.connection.execute(INGEST, [self.ids["source"], make_batch(1, 1).decode()])
        body = f'{{"sent": {time.time():.6f}, "n": {number}}}'.encode()
        publish_messages(self.port, [("quiet/device/telemetry", body)])
        self.connection.execute(COMMAND, [organization_id, broker, self.ids["device"]])
        self.connection.execute(JOB, [organization_id, broker, broker])
        self.received.append(self.push())

    def _read(self, part: str, values: dict[str, object]) -> list[float]:
        if part == "receive":
            return self.received
        return [float(row[0]) for row in self.connection.execute(LATENCIES[part].encode(), values)]


def measure(bench: Bench) -> Numbers:
    """Alone, then beside the other, on one stack with one worker."""
    rounds, settle_seconds = bench.rounds(300, 60), 1.0 if bench.smoke else SETTLE_SECONDS
    with bench.step("Starting a stack"), ExitStack() as exits:
        quiet = _make_quiet(exits)
        alone = quiet.measure(bench.track("Alone", rounds), settle_seconds)
        with bench.step("Misusing everything"), _misuse(bench, quiet, settle_seconds):
            beside = quiet.measure(bench.track("Beside", rounds), settle_seconds)
    numbers: Numbers = {}
    for part in PARTS:
        bound = max(2 * alone[part], alone[part] + ALLOWANCE_MS)
        numbers |= {
            f"{part}_p99_ratio": 2 * beside[part] / bound,
            f"{part}_alone_ms": alone[part],
            f"{part}_beside_ms": beside[part],
        }
    return numbers | {"worker_mb": quiet.memory_mb}


def _make_quiet(exits: ExitStack) -> Quiet:
    report = exits.enter_context(start_stack())
    connection = exits.enter_context(connect_service(report))
    port, endpoint = exits.enter_context(start_mosquitto()), exits.enter_context(start_endpoint())
    admin = next(user for user in report.users if user.role == "admin")
    organization_id, broker_url = str(admin.organization_id), "mqtt://127.0.0.1"
    codec = make_codec(connection, PARSE, organization_id)
    topics = {
        "topics": "quiet/+/telemetry",
        "command_topic": "quiet/{device}/commands/{name}",
        "codec": codec,
    }
    broker = make_integration(connection, organization_id, "mqtt", broker_url=broker_url, port=port, **topics)
    webhook = make_integration(
        connection,
        organization_id,
        "webhook",
        url=f"{endpoint}/hook",
        events=["device.telemetry"],
        rate_limit_per_minute=1_000_000,
        max_concurrent=100,
    )
    ids = {
        "broker": broker,
        "webhook": webhook,
        "source": make_integration(
            connection, organization_id, "mqtt", broker_url=broker_url, port=port, topics="x"
        ),
        "device": make_device(connection, organization_id, broker),
    }
    push = exits.enter_context(_make_pusher(report, codec))
    worker = exits.enter_context(start_worker(report))
    quiet = Quiet(report, connection, worker, organization_id, port, ids, push)
    wait_until(
        lambda: bool((connection.execute(SUBSCRIBED, [broker]).fetchone() or (0,))[0]),
        PATIENCE_SECONDS,
        "Connecting",
    )
    return quiet


@contextmanager
def _make_pusher(report: Report, codec: str) -> Iterator[Callable[[], float]]:
    """Pushes one message and waits for the answer; milliseconds."""
    admin = next(user for user in report.users if user.role == "admin")
    secret = uuid.uuid4().hex
    body = {
        "organization_id": admin.organization_id,
        "integration_type": "golioth",
        "name": "Pushed",
        "config": {"api_key": "bench", "project_id": "bench", "webhook_secret": secret, "codec": codec},
    }
    made = sign_in(report, admin).call("POST", "/functions/v1/integrations", body).body
    headers = {
        "X-Webhook-Secret": secret,
        "Ce-Source": "device",
        "Ce-Subject": "bench",
        "Ce-Type": "io.golioth.data.v1/.s/sensor",
        "Content-Type": "application/json",
    }
    with httpx.Client(base_url=report.url, timeout=60) as client:

        def push() -> float:
            begun = time.perf_counter()
            sent = headers | {
                "Ce-Id": uuid.uuid4().hex,
                "Ce-Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            path = f"{RECEIVE}/{made['integration']['id']}"
            client.post(path, headers=sent, json={"temperature": 20.5}).raise_for_status()
            return (time.perf_counter() - begun) * 1000

        yield push


@contextmanager
def _misuse(bench: Bench, quiet: Quiet, settle_seconds: float) -> Iterator[None]:
    """The other organization, at work until the end; some seconds to settle before it is measured."""
    with start_slow_endpoint() as (host, port):
        source = misuse_everything(quiet.connection, host, port, bench.size)
        for _ in range(HOSTILE_BATCHES):
            quiet.connection.execute(INGEST, [source, make_batch(HOSTILE_DEVICES).decode()])
        stopped = threading.Event()
        hanging = make_hanging_codec(quiet.connection, quiet.port)
        threads = [
            *[
                threading.Thread(target=push_unproven, args=(quiet.report, source, stopped))
                for _ in range(REFUSED_CONNECTIONS)
            ],
            threading.Thread(target=publish_to_hang, args=(quiet.port, stopped)),
            threading.Thread(target=push_to_hang, args=(quiet.report, *hanging, stopped)),
        ]
        for thread in threads:
            thread.start()
        time.sleep(settle_seconds)
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join()


def _find_p99(values: list[float]) -> float:
    if not values:
        raise RuntimeError("Nothing of what the quiet organization did was done.")
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
