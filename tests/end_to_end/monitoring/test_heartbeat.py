"""A scheduler that stopped is seen by the ping that does not come, by the API and by the view."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, run_tick
from tests.stack import Serve
from tests.waiting import wait_until


def test_a_worker_that_is_stopped_is_seen_by_everybody(new_serve: Callable[..., Serve]) -> None:
    with HttpReceiver() as switch:
        ping = switch.url + "?status=up"
        serve = new_serve(HEARTBEAT_URL=ping)
        serve.worker = True
        stack = serve.start()
        admin = Platform(stack, stack.user("admin", 0))
        made = admin.create("webhook", {"url": switch.url, "events": ["log"]})
        wait_until(lambda: switch.requests, "no ping came")
        wait_until(lambda: len(read_parts(admin)) == 6, "not all parts were seen")
        running = admin.call("GET", "/integrations").json()["scheduler"]
        serve.stop()
        pings = [(request.method, request.path) for request in switch.requests]
        serve.worker = False
        stack = serve.start()
        admin = Platform(stack, stack.user("admin", 0))
        with stack.connect() as connection:
            # As if it had been stopped five minutes ago.
            connection.execute("update private.heartbeats set seen_at = seen_at - interval '5 minutes'")
            connection.execute("update device_integrations set created_at = now() - interval '1 hour'")
        listed = admin.call("GET", "/integrations").json()
        (seen,) = admin.rows("integration_health", integration_id=f"eq.{made['id']}")

    assert running["state"] == "running"
    assert pings[0] == ("GET", "/hook?status=up")
    assert listed["scheduler"]["state"] == "silent"
    assert listed["integrations"][0]["health"]["state"] == "failing"
    assert (seen["state"], "Nobody has looked" in seen["reason"]) == ("failing", True)


def test_each_tick_pings_and_one_that_can_not_ping_goes_on(new_serve: Callable[..., Serve]) -> None:
    with HttpReceiver() as switch:
        stack = new_serve(HEARTBEAT_URL=switch.url).start()
        for _ in range(2):
            run_tick(stack, idle_seconds=0.2)
        count = len(switch.requests)
    after = run_tick(stack, idle_seconds=0.2)

    assert count == 2
    assert set(after) == {"sessions", "commands", "jobs", "deliveries", "maintenance"}
    (log,) = [*(stack.data / "logs").glob("api.log")]
    assert "HEARTBEAT_URL could not be reached" in log.read_text()
    assert not re.search(rf"\b{switch.port}\b", log.read_text())


def read_parts(admin: Platform) -> dict[str, str]:
    return dict(admin.call("GET", "/integrations").json()["scheduler"]["parts"])
