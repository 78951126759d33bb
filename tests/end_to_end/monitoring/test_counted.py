"""Health agrees with what is counted, whatever was killed meanwhile."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.end_to_end.monitoring.noise import make_noise
from tests.platform import Platform
from tests.seeds import SEEDS
from tests.stack import Stack

COUNTED = """
select (select count(*) from device_messages where integration_id = %(source)s) as messages,
       (select max(received_at) from device_messages where integration_id = %(source)s) as last_message,
       count(*) filter (where status in ('pending', 'delivering')) as pending,
       count(*) filter (where status = 'dead') as dead,
       (select max(t.started_at) from webhook_attempts t join webhook_deliveries d on d.id = t.delivery_id
         where d.integration_id = %(webhook)s and t.status_code = 200) as last_sent
  from webhook_deliveries where integration_id = %(webhook)s
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_health_is_what_there_is_after_a_noisy_run_with_kills(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> None:
    broker, webhook = make_noise(admin, stack, start_worker, seed)

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
