"""How many rows a second `ingest_batch` stores, beside COPY: batches of 500, over one connection, database only.

Messages have bodies of about 90 bytes and come from 100 devices; nobody subscribes to them. Each batch is one
committed transaction. `rate` is rows over the time spent in the calls, `copy_rate` that of COPY of the same rows, in
turns, into a table with the same indexes, which keeps no devices, counts nothing and knows no message again: the limit.
`ratio` is rate / copy_rate. `crowd_rate` and `crowd_ratio` are the same with 10,000 devices, of which a batch updates
500; `ms_p50` and `ms_p99` are milliseconds a batch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import orjson
import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._messages import BATCH, make_batch
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service, make_integration

REACH = {"rate": "≥ 40,000 rows/s", "ratio": "≥ 0.7", "crowd_ratio": "≥ 0.55"}
DEVICES, CROWD = 100, 10_000
WARM_UP = 20
INGEST = "select public.ingest_batch(%s)"
COPIED = "drop table if exists private.copied; create table private.copied (like public.device_messages including all)"
COPY = "copy private.copied from stdin"
LAST = """
copy (
  select m.* from public.device_messages m where m.integration_id = %s and m.received_at = (
    select max(n.received_at) from public.device_messages n where n.integration_id = %s)) to stdout
"""


def measure(bench: Bench) -> Numbers:
    """Stores and copies batches in turns, first of few devices, then of many."""
    with (
        bench.step("Starting a stack"),
        start_stack() as report,
        connect_service(report) as connection,
        psycopg.connect(report.db_url, autocommit=True) as copier,
    ):
        copier.execute(COPIED)
        few = store_batches(bench, connection, copier, DEVICES)
        many = store_batches(bench, connection, copier, CROWD)
    return {
        "rate": find_rate(few[0]),
        "copy_rate": find_rate(few[1]),
        "ratio": find_rate(few[0]) / find_rate(few[1]),
        "crowd_rate": find_rate(many[0]),
        "crowd_ratio": find_rate(many[0]) / find_rate(many[1]),
        "ms_p50": statistics.median(few[0]) * 1000,
        "ms_p99": statistics.quantiles(few[0], n=100)[-1] * 1000,
    }


def store_batches(
    bench: Bench, connection: psycopg.Connection, copier: psycopg.Connection, devices: int
) -> tuple[list[float], list[float]]:
    """The seconds each batch took to store, and to copy; making it is not counted."""
    integration_id = make_integration(connection, "mqtt")
    stored: list[float] = []
    copied: list[float] = []
    for turn in bench.track(f"{devices:,} devices", WARM_UP + bench.rounds(1000, 300)):
        messages = orjson.Fragment(make_batch(devices))
        batch = orjson.dumps({"integration_id": integration_id, "messages": messages}).decode()
        stored.append(_time(partial(_store, connection, batch)))
        copied.append(_time(partial(_copy, copier, _read_last(copier, integration_id))))
        if turn < WARM_UP:
            stored.clear()
            copied.clear()
    return stored, copied


def _store(connection: psycopg.Connection, batch: str) -> None:
    connection.execute(INGEST, [batch]).fetchone()


def _read_last(copier: psycopg.Connection, integration_id: str) -> bytes:
    """The rows of the last batch, as COPY takes them."""
    with copier.cursor().copy(LAST, [integration_id, integration_id]) as copy:
        return b"".join(bytes(part) for part in copy)


def _copy(copier: psycopg.Connection, rows: bytes) -> None:
    with copier.cursor().copy(COPY) as copy:
        copy.write(rows)


def _time(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def find_rate(seconds: list[float]) -> float:
    """Rows a second, of batches that took so long."""
    return BATCH * len(seconds) / sum(seconds)
