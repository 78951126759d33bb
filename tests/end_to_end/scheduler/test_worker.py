"""The worker: the scheduler's work as a process of its own, killed and stopped at will."""

from __future__ import annotations

import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable

import pytest

from tests.end_to_end.scheduler.test_tick import connect_broker, messages_of, publish, readings
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until


def wait_for_messages(admin: Platform, integration: dict[str, object], count: int) -> None:
    wait_until(lambda: len(messages_of(admin, integration)) >= count, "messages are missing", 0.2)


def expire_leases(stack: Stack) -> None:
    """What time does by itself half a minute after a worker was killed."""
    with stack.connect() as connection:
        connection.execute("update integration_schedules set due_at = now() where lease_token is not null")
        connection.execute("update webhook_deliveries set due_at = now() where status = 'delivering'")


def test_a_live_message_arrives_while_the_worker_runs_and_sigterm_ends_it_cleanly(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    worker = start_worker()

    publish(stack, readings(prefix, 5))
    wait_for_messages(admin, broker, 5)
    worker.terminate()

    assert worker.wait(20) == 0
    assert len(messages_of(admin, broker)) == 5
    with stack.connect() as connection:
        leased = connection.execute(
            "select count(*) from integration_schedules where lease_token is not null"
        ).fetchone()
    assert leased == (0,)


@pytest.mark.parametrize("seed", SEEDS)
def test_workers_killed_at_random_moments_lose_and_double_nothing(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a reproducible order of events
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    with HttpReceiver() as receiver:
        # A crash counts as an attempt, so there have to be more of those than there are crashes.
        webhook = admin.create(
            "webhook",
            {
                "retry_schedule": [0.5] * 12,
                "url": receiver.url,
                "max_concurrent": 50,
                "rate_limit_per_minute": 100_000,
            },
        )
        for part in range(3):
            worker = start_worker()
            publish(stack, readings(prefix, 200, device=f"d{part}"))
            time.sleep(chance.uniform(0.2, 1.0))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            expire_leases(stack)
        last = start_worker()
        wait_for_messages(admin, broker, 600)
        wait_for_deliveries(stack, webhook["id"], 600)
        last.terminate()
        last.wait(20)
        heard = [request.headers["webhook-id"] for request in receiver.requests]

    stored = [(row["topic"], row["payload"]["temperature"]) for row in messages_of(admin, broker)]
    assert len(stored) == len(set(stored)) == 600
    assert len(set(heard)) == 600
    assert len(heard) - 600 <= 3 * 50


def wait_for_deliveries(stack: Stack, webhook_id: str, count: int) -> None:
    delivered = "select count(*) from webhook_deliveries where status = 'delivered' and integration_id = %s"
    with stack.connect() as connection:
        connection.autocommit = True
        wait_until(
            lambda: connection.execute(delivered, (webhook_id,)).fetchone() == (count,),
            "deliveries are missing",
            0.2,
        )
