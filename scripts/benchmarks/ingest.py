"""How many rows a second `ingest_messages` stores: batches of 500, over one connection, database only.

Messages have bodies of about 90 bytes and come from 100 devices; nobody subscribes to them. Each batch is one
committed transaction. `rate` is rows over the time spent in the calls; `crowd_rate` the same with 10,000 devices, of
which a batch updates 500; `ms_p50` and `ms_p99` are milliseconds a batch.
"""

from __future__ import annotations

import statistics
import time

import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._messages import BATCH, make_batch
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service, make_integration

REACH = {"rate": "≥ 40,000 rows/s"}
DEVICES, CROWD = 100, 10_000
WARM_UP = 20
INGEST = "select public.ingest_messages(%s, %s)"


def measure(bench: Bench) -> Numbers:
    """Stores batches one after another, first of few devices, then of many."""
    with bench.step("Starting a stack"), start_stack() as report, connect_service(report) as connection:
        few = store_batches(bench, connection, DEVICES)
        many = store_batches(bench, connection, CROWD)
    return {
        "rate": find_rate(few),
        "crowd_rate": find_rate(many),
        "ms_p50": statistics.median(few) * 1000,
        "ms_p99": statistics.quantiles(few, n=100)[-1] * 1000,
    }


def store_batches(bench: Bench, connection: psycopg.Connection, devices: int) -> list[float]:
    """The seconds each batch took; making it is not counted."""
    integration_id = make_integration(connection, "mqtt")
    seconds = []
    for turn in bench.track(f"{devices:,} devices", WARM_UP + bench.rounds(1000, 300)):
        batch = make_batch(devices).decode()
        begun = time.perf_counter()
        connection.execute(INGEST, [integration_id, batch]).fetchone()
        if turn >= WARM_UP:
            seconds.append(time.perf_counter() - begun)
    return seconds


def find_rate(seconds: list[float]) -> float:
    """Rows a second, of batches that took so long."""
    return BATCH * len(seconds) / sum(seconds)
