"""A noisy run: messages good and bad, an endpoint that fails at times, and workers that are killed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.end_to_end.scheduler.test_worker import expire_leases, wait_for_messages
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform
from tests.stack import Stack
from tests.waiting import wait_until

OPEN = "select count(*) from webhook_deliveries where integration_id = %s and stage is not null"


def make_noise(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A broker that brought 300 messages and 60 that can't be decoded, and a webhook of which no delivery is open."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible order of events
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    with HttpReceiver(lambda _: Answer(200 if chance.random() < 0.8 else 500)) as receiver:
        config = {"url": receiver.url, "retry_schedule": [0.2], "max_concurrent": 20}
        webhook = admin.create("webhook", config | {"rate_limit_per_minute": 100_000})
        for part in range(3):
            worker = start_worker()
            publish(stack, readings(prefix, 100, device=f"d{part}"))
            publish(stack, [(f"{prefix}/d{part}/telemetry", b"{nonsense")] * 20)
            time.sleep(chance.uniform(0.2, 1.0))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            expire_leases(stack)
        last = start_worker()
        wait_for_messages(admin, broker, 360)
        with stack.connect() as connection:
            connection.autocommit = True
            wait_until(
                lambda: connection.execute(OPEN, (webhook["id"],)).fetchone() == (0,),
                "deliveries are open",
                0.2,
            )
        last.terminate()
        last.wait(30)
    return broker, webhook
