"""Health agrees with what is counted, whatever was killed meanwhile."""

from __future__ import annotations

import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.end_to_end.scheduler.test_worker import expire_leases, wait_for_messages
from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.platform import Platform
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

COUNTED = """
select (select count(*) from device_messages where integration_id = %(source)s) as messages,
       (select max(received_at) from device_messages where integration_id = %(source)s) as last_message,
       count(*) filter (where status in ('pending', 'delivering')) as pending,
       count(*) filter (where status = 'dead') as dead,
       (select max(t.started_at) from webhook_attempts t join webhook_deliveries d on d.id = t.delivery_id
         where d.integration_id = %(webhook)s and t.status_code = 200) as last_sent
  from webhook_deliveries where integration_id = %(webhook)s
"""
OPEN = "select count(*) from webhook_deliveries where integration_id = %s and stage is not null"


@pytest.mark.parametrize("seed", SEEDS)
def test_health_is_what_there_is_after_a_noisy_run_with_kills(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a reproducible order of events
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)

    def answer(_: Received) -> Answer:
        return Answer(200 if chance.random() < 0.8 else 500)

    with HttpReceiver(answer) as receiver:
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

    with stack.connect() as connection:
        names = {"source": broker["id"], "webhook": webhook["id"]}
        messages, last_message, pending, dead, last_sent = connection.execute(COUNTED, names).fetchone() or ()
    health = {row["id"]: row["health"] for row in admin.call("GET", "/integrations").json()["integrations"]}
    (seen,) = admin.rows("integration_health", integration_id=f"eq.{broker['id']}", select="*")
    into, out = health[broker["id"]], health[webhook["id"]]
    assert (into["messages_24h"], messages) == (360, 360)
    assert datetime.fromisoformat(into["last_message_at"]) == last_message
    assert (out["pending"], out["dead"]) == (pending, dead)
    assert datetime.fromisoformat(out["last_delivered_at"]) >= last_sent
    assert into["state"] == "degraded"
    assert "17 % of the messages" in into["reason"]
    assert {name: seen[name] for name in into if name in seen} == {
        name: into[name] for name in into if name in seen
    }
