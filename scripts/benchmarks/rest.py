"""What a call through /rest/v1 costs, against the same function over a direct connection.

The function is `ingest_messages` with batches of 500 messages, and one that adds two numbers for what a call costs by
itself. Both ways take turns, batch by batch, so that what else the machine does falls on both; medians are compared.
`rate` and `direct_rate` are rows a second over one connection, `ratio` is rate / direct_rate.
"""

from __future__ import annotations

import http.client
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._scratch import start_stack
from scripts.local.stack import Report

REACH = {"ratio": "≥ 0.75: a call costs at most a third more"}
BATCH = 500
WARM_UP = 8
INGEST = "select public.ingest_messages(%s, %s)"
SMALL = "select public.bench_add(%s, %s)"
MAKE_SMALL = "create function public.bench_add(a int, b int) returns int language sql as 'select a + b'"
MAKE_INTEGRATION = """
insert into public.device_integrations (organization_id, integration_type, name)
select id, 'mqtt', 'bench ' || gen_random_uuid() from public.organizations limit 1 returning id::text
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """The two ways to the database, open for the whole run, and the integration that is written to."""

    rest: http.client.HTTPConnection
    direct: psycopg.Connection
    headers: dict[str, str]
    integration_id: str

    def call_rest(self, function: str, body: bytes) -> None:
        """One rpc."""
        self.rest.request("POST", f"/rest/v1/rpc/{function}", body, self.headers)
        reply = self.rest.getresponse()
        content = reply.read()
        if reply.status != http.client.OK:
            raise RuntimeError(f"{function} answered {reply.status}: {content.decode()}")

    def call_direct(self, statement: str, values: list[object]) -> None:
        """The same function on the direct connection, in a transaction of its own."""
        self.direct.execute(statement.encode(), values).fetchone()


def measure(bench: Bench) -> Numbers:
    """Runs both ways in turns."""
    with bench.step("Starting a stack"), start_stack() as report, _open_ways(report) as ways:
        small = _compare_small(bench, ways)
        batches = _compare_batches(bench, ways)
    return {
        "rate": BATCH / batches[0],
        "direct_rate": BATCH / batches[1],
        "ratio": batches[1] / batches[0],
        "small_call_ms": small[0] * 1000,
        "small_direct_ms": small[1] * 1000,
    }


@contextmanager
def _open_ways(report: Report) -> Iterator[Ways]:
    address = urlsplit(report.url)
    key = report.service_role_key
    headers = {"apikey": key, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with (
        psycopg.connect(report.db_url, autocommit=True) as direct,
        closing(http.client.HTTPConnection(address.hostname or "", address.port)) as rest,
    ):
        direct.execute(MAKE_SMALL)
        row = direct.execute(MAKE_INTEGRATION).fetchone()
        direct.execute("set role service_role")
        yield Ways(rest, direct, headers, row[0] if row else "")


def _compare_batches(bench: Bench, ways: Ways) -> tuple[float, float]:
    def through_rest() -> Callable[[], None]:
        messages = _make_messages()
        body = b'{"p_integration_id":"%s","p_messages":%s}' % (ways.integration_id.encode(), messages)
        return lambda: ways.call_rest("ingest_messages", body)

    def directly() -> Callable[[], None]:
        messages = _make_messages().decode()
        return lambda: ways.call_direct(INGEST, [ways.integration_id, messages])

    return _compare(bench, "Batches of 500", bench.rounds(200, 60), (through_rest, directly))


def _compare_small(bench: Bench, ways: Ways) -> tuple[float, float]:
    def through_rest() -> Callable[[], None]:
        return lambda: ways.call_rest("bench_add", b'{"a": 1, "b": 2}')

    def directly() -> Callable[[], None]:
        return lambda: ways.call_direct(SMALL, [1, 2])

    return _compare(bench, "Small calls", bench.rounds(3000, 1000), (through_rest, directly))


def _compare(
    bench: Bench, label: str, rounds: int, ways: tuple[Callable[[], Callable[[], None]], ...]
) -> tuple[float, float]:
    """The median seconds of each way; what is to be called is made outside of the time measured."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in bench.track(label, rounds + WARM_UP):
        for prepare, taken in zip(ways, seconds, strict=True):
            call = prepare()
            started = time.perf_counter()
            call()
            if turn >= WARM_UP:
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _make_messages() -> bytes:
    """500 messages as an MQTT session hands them over, none of them seen before."""
    run = secrets.token_hex(8)
    return json.dumps(
        [
            {
                "event_id": f"{run}-{number}",
                "device": f"device-{number % 50}",
                "kind": "telemetry",
                "topic": f"fleet/device-{number % 50}/telemetry",
                "payload": {"temperature": 20 + number / 100, "battery": 3.61, "status": "ok", "n": number},
                "observed_at": "2026-11-01T12:00:00.123456Z",
            }
            for number in range(BATCH)
        ]
    ).encode()
