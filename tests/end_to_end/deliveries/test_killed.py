"""Deliveries while dispatchers are killed and Postgres is stopped under them: all end, few are heard twice."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.platform import Platform, enqueue
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

COUNT, IN_FLIGHT = 500, 50
EVENTS = ("kill", "stop postgres", "both")

StartWorker = Callable[[], subprocess.Popen[bytes]]


class Endpoint:
    """Takes a moment, refuses one in ten, and knows what it has accepted."""

    def __init__(self, chance: random.Random) -> None:
        self.heard: list[str] = []
        self.accepted: Counter[str] = Counter()
        self._chance = chance

    def wait_for(self, count: int) -> None:
        """Until it was sent so many requests."""
        wait_until(lambda: len(self.heard) >= count, "nothing is delivered")

    def __call__(self, request: Received) -> Answer:
        delivery = request.headers["webhook-id"]
        self.heard.append(delivery)
        time.sleep(self._chance.uniform(0.005, 0.05))
        if self._chance.random() < 0.1:
            return Answer(503)
        self.accepted[delivery] += 1
        return Answer()


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Iterator[tuple[Endpoint, str]]:
    made = Endpoint(random.Random(request.node.name))  # noqa: S311 - a seed makes a failure repeatable
    with HttpReceiver(made) as receiver:
        yield made, receiver.url


def ask(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    """The rows, or none while the database is away."""
    try:
        with stack.connect() as connection:
            return connection.execute(statement.encode()).fetchall()
    except psycopg.OperationalError:
        return []


def stop_postgres(stack: Stack) -> None:
    stopped = stack.stop_postgres()
    wait_until(lambda: stack.postgres_pid not in {0, stopped}, "Postgres did not come back")


def kill_worker(stack: Stack, worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and then what time does by itself within a minute."""
    worker.kill()
    worker.wait()
    expire = "update webhook_deliveries set due_at = now() where status = 'delivering' returning 1"
    wait_until(lambda: bool(ask(stack, "select 1")), "Postgres does not answer")
    ask(stack, expire)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_delivery_ends_whatever_is_killed_and_only_what_was_in_flight_is_heard_twice(
    admin: Platform, endpoint: tuple[Endpoint, str], start_worker: StartWorker, seed: int
) -> None:
    chance, (heard_by, url) = random.Random(seed), endpoint  # noqa: S311 - as above
    admin.create(
        "webhook",
        {"url": url, "retry_schedule": [0.1] * 12, "max_concurrent": IN_FLIGHT}
        | {"rate_limit_per_minute": 100_000},
    )
    with admin.stack.connect() as connection:
        connection.execute("delete from webhook_deliveries")
    enqueue(admin, COUNT)

    worker = start_worker()
    for event in chance.sample(EVENTS, len(EVENTS)):
        heard_by.wait_for(min(len(heard_by.heard) + chance.randint(1, 120), COUNT))
        if event != "kill":
            stop_postgres(admin.stack)
        if event != "stop postgres":
            kill_worker(admin.stack, worker)
            worker = start_worker()
    # Leases that were taken, but whose answer was lost with Postgres, are nobody's.
    kill_worker(admin.stack, worker)
    start_worker()
    ended = "select bool_and(status in ('delivered', 'dead')) from webhook_deliveries"
    wait_until(lambda: ask(admin.stack, ended) == [(True,)], "not every delivery has ended")

    rows = dict(ask(admin.stack, "select id::text, status from webhook_deliveries"))
    assert set(rows) == set(heard_by.heard)
    assert len(rows) == COUNT
    assert all(heard_by.accepted[delivery] for delivery, status in rows.items() if status == "delivered")
    assert sum(heard_by.accepted.values()) - len(heard_by.accepted) <= 3 * IN_FLIGHT
