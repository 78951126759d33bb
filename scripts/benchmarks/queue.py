"""How many deliveries a second the webhook queue hands out and takes back, without HTTP: lease, then finish.

One webhook whose max_concurrent lets whole batches through; every delivery brings its message and its device, and
each is recorded as an attempt. `rate` is with batches of 500, `rate_100` with batches of 100: deliveries over the time
spent in both calls, over one connection. `lease_ms` and `finish_ms` are the median milliseconds of a batch of 500.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import orjson
import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._messages import make_batch
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service, make_integration

REACH = {"rate": "≥ 15,000 deliveries/s"}
SMALL, LARGE = 100, 500
DEVICES = 100
WARM_UP = 10
INGEST = "select public.ingest_messages(%s, %s)"
LEASE = "select public.lease_deliveries(%s, 60)::text"
FINISH = "select public.finish_deliveries(%s)"
Seconds = list[tuple[float, float]]


def measure(bench: Bench) -> Numbers:
    """Drains the queue in small batches, then in large ones; both find the same number waiting."""
    rounds = bench.rounds(120, 40)
    with bench.step("Starting a stack"), start_stack() as report, connect_service(report) as connection:
        make_integration(
            connection, "webhook", events=["*"], max_concurrent=LARGE, rate_limit_per_minute=10_000_000
        )
        _fill_queue(bench, connection, (rounds + WARM_UP) * (SMALL + LARGE) // LARGE + 1)
        small = _drain_queue(bench, connection, SMALL, rounds)
        large = _drain_queue(bench, connection, LARGE, rounds)
    return {
        "rate": _rate(large, LARGE),
        "rate_100": _rate(small, SMALL),
        "lease_ms": statistics.median(lease for lease, _ in large) * 1000,
        "finish_ms": statistics.median(finish for _, finish in large) * 1000,
    }


def _fill_queue(bench: Bench, connection: psycopg.Connection, batches: int) -> None:
    integration_id = make_integration(connection, "mqtt")
    for _ in bench.track("Filling the queue", batches):
        connection.execute(INGEST, [integration_id, make_batch(DEVICES).decode()])


def _drain_queue(bench: Bench, connection: psycopg.Connection, size: int, rounds: int) -> Seconds:
    """The seconds each batch took to lease and to finish; what the dispatcher does between is not counted."""
    seconds = []
    for turn in bench.track(f"Batches of {size}", rounds + WARM_UP):
        leased, lease_seconds = _call(connection, LEASE, size)
        results = _describe_results(orjson.loads(leased)["deliveries"])
        counts, finish_seconds = _call(connection, FINISH, results)
        if counts["delivered"] != size:
            raise RuntimeError(f"Of a batch of {size} the database says: {counts}")
        if turn >= WARM_UP:
            seconds.append((lease_seconds, finish_seconds))
    return seconds


def _call(connection: psycopg.Connection, statement: str, value: object) -> tuple[Any, float]:
    begun = time.perf_counter()
    row = connection.execute(statement.encode(), [value]).fetchone()
    return row[0] if row else None, time.perf_counter() - begun


def _describe_results(deliveries: list[dict[str, Any]]) -> str:
    """What the dispatcher reports of requests that were answered 200."""
    result = {
        "outcome": "delivered",
        "retry_seconds": None,
        "started_at": "2026-11-01T12:00:00.123456+00:00",
        "milliseconds": 12,
        "status_code": 200,
        "error": None,
        "reply": "ok",
    }
    return orjson.dumps(
        [{"id": row["id"], "lease_token": row["lease_token"], **result} for row in deliveries]
    ).decode()


def _rate(seconds: Seconds, size: int) -> float:
    return size * len(seconds) / sum(lease + finish for lease, finish in seconds)
