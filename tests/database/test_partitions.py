"""Partitions of messages: made once by many at one moment, and never dropped at the cost of who reads and writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import make_messages
from tests.stack import Stack

RACERS = 8
FAR = datetime.now(UTC).date() + timedelta(days=400)
LONG_AGO = datetime.now(UTC).date() - timedelta(days=120)
PARTITIONS = """
select count(*) from pg_inherits h join pg_class c on c.oid = h.inhrelid
 where h.inhparent = 'public.device_messages'::regclass
   and c.relname = 'device_messages_' || to_char(%s::date, 'YYYYMMDD')
"""
MAKE = "select private.make_message_partition(%s)"


@pytest.fixture
def days(stack: Stack) -> Iterator[None]:
    yield
    with stack.connect() as connection:
        for day in (FAR, LONG_AGO, LONG_AGO + timedelta(days=1)):
            connection.execute(f"drop table if exists private.device_messages_{day:%Y%m%d}")


@pytest.fixture
def integration(stack: Stack) -> Iterator[str]:
    with stack.connect() as connection:
        (made,) = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            " values (%s, 'mqtt', 'partitions', '{}') returning id",
            (stack.user("owner", 0).organization_id,),
        ).fetchall()
    yield str(made[0])
    with stack.connect() as connection:
        connection.execute("delete from device_integrations where id = %s", made)
        connection.execute("delete from device_messages where integration_id = %s", made)


def ask(stack: Stack, statement: str, *values: Any, role: str = "service_role") -> Any:
    """The only value of a statement in a transaction of its own, committed."""
    with stack.connect() as connection:
        connection.execute(f"set local role {role}")
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


def count_partitions(stack: Stack, day: date) -> int:
    return int(ask(stack, PARTITIONS, day, role="postgres"))


@contextmanager
def reading(stack: Stack) -> Iterator[None]:
    """Somebody whose transaction has read messages and is not over."""
    with psycopg.connect(stack.db_url) as reader:
        reader.execute("select count(*) from device_messages")
        yield


def ingest(stack: Stack, integration: str, *received_at: object) -> dict[str, int]:
    values = (integration, Jsonb(make_messages(1, None)), *received_at)
    named = ", p_received_at => %s" if received_at else ""
    counts: dict[str, int] = ask(stack, f"select ingest_messages(%s, %s{named})", *values)
    return counts


@pytest.mark.usefixtures("days")
def test_whoever_waited_for_another_to_make_a_partition_finds_it_made(stack: Stack) -> None:
    with stack.connect() as first, ThreadPoolExecutor(1) as threads:
        first.execute(MAKE, (FAR,))
        second = threads.submit(ask, stack, MAKE, FAR)
        time.sleep(0.3)
        waited = not second.done()
        first.commit()
        second.result(timeout=10)

    assert (waited, count_partitions(stack, FAR)) == (True, 1)


@pytest.mark.usefixtures("days")
def test_all_of_many_batches_at_the_first_moment_of_a_day_are_stored(stack: Stack, integration: str) -> None:
    together = threading.Barrier(RACERS)

    def store(_: int) -> int:
        together.wait()
        return ingest(stack, integration, f"{FAR}T00:00:00Z")["stored"]

    with ThreadPoolExecutor(RACERS) as threads:
        stored = list(threads.map(store, range(RACERS)))

    assert stored == [1] * RACERS
    assert count_partitions(stack, FAR) == 1


@pytest.mark.usefixtures("days")
def test_a_partition_is_made_while_somebody_reads_for_long(stack: Stack, integration: str) -> None:
    with reading(stack):
        begun = time.monotonic()
        stored = ingest(stack, integration, f"{FAR}T00:00:00Z")["stored"]
        seconds = time.monotonic() - begun

    assert stored == 1
    assert seconds < 5


@pytest.mark.usefixtures("days")
def test_dropping_behind_a_long_reader_gives_up_so_that_messages_go_on(
    stack: Stack, integration: str
) -> None:
    for day in (LONG_AGO, LONG_AGO + timedelta(days=1)):
        ask(stack, MAKE, day)

    with reading(stack), ThreadPoolExecutor(1) as threads:
        begun = time.monotonic()
        pruning = threads.submit(ask, stack, "select prune_messages()")
        time.sleep(0.03)
        stored = ingest(stack, integration)["stored"]
        put_off = pruning.result(timeout=10)
        seconds = time.monotonic() - begun
    pruned = ask(stack, "select prune_messages()")

    assert (stored, put_off["partitions_dropped"], pruned["partitions_dropped"]) == (1, 0, 2)
    assert seconds < 5
    assert count_partitions(stack, LONG_AGO) == 0
