"""A function as the image serves it: right settings or no start, probes, and an end within the time it is given."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from scripts.local.stack import ROOT
from tests.end_to_end.runtime.web.conftest import Server
from tests.ports import find_free_port
from tests.stack import Stack

CLOUD_RUN_SECONDS = 10
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_function_is_served_with_its_probes_beside_it(start: Callable[..., Server]) -> None:
    server = start("golioth_webhook")
    server.wait_until_up()

    ready = httpx.get(f"{server.url}/ready", timeout=20)
    function = httpx.get(f"{server.url}/functions/v1/golioth-webhook/x", timeout=60)

    assert (ready.status_code, ready.json()) == (200, {"ok": True})
    assert (function.status_code, function.headers["Allow"]) == (405, "OPTIONS, POST")


def test_a_cron_service_that_knows_only_get_or_head_ticks_too(
    start: Callable[..., Server], stack: Stack
) -> None:
    server = start("scheduler", SCHEDULER_SECONDS="1")
    server.wait_until_up()
    proof = {"Authorization": f"bearer {stack.scheduler_secret}"}

    got, headed = (httpx.request(method, server.url, headers=proof, timeout=30) for method in ("GET", "HEAD"))

    assert (got.status_code, headed.status_code, headed.content) == (200, 200, b"")
    assert set(got.json()) == {"sessions", "commands", "jobs", "deliveries", "maintenance"}


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/robots.txt", "/favicon.ico", "/nowhere"])
def test_a_preflight_is_answered_on_the_paths_that_others_have_taken(
    start: Callable[..., Server], path: str
) -> None:
    server = start("commands")
    server.wait_until_up()

    preflight = httpx.options(
        f"{server.url}{path}", headers={"Origin": "https://app.example.com"}, timeout=60
    )

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SUPABASE_URL": ""}, "SUPABASE_URL must be set for receive"),
        ({"OUTBOUND_ALLOW": "canary"}, "OUTBOUND_ALLOW must hold networks"),
        ({"INTEGRATION_KEYS": "k1:canary"}, "INTEGRATION_KEYS: entry 1"),
    ],
)
def test_wrong_settings_stop_it_before_it_listens(
    start: Callable[..., Server], changed: dict[str, str], said: str
) -> None:
    server = start("receive", **changed)

    assert server.process.wait(30) == 1
    (line,) = server.read_lines()
    assert (line["severity"], line["function"]) == ("CRITICAL", "receive")
    assert said in line["message"]
    assert "canary" not in server.log.read_text()


def test_a_key_that_is_refused_is_named_by_the_probe_and_by_a_tick(
    start: Callable[..., Server], stack: Stack
) -> None:
    server = start("scheduler", SUPABASE_SERVICE_ROLE_KEY="sb_secret_canary")
    server.wait_until_up()

    ready = httpx.get(f"{server.url}/ready", timeout=20)
    tick = httpx.post(
        server.url, json={"seconds": 1}, headers={"X-Scheduler-Secret": stack.scheduler_secret}, timeout=20
    )

    assert ready.status_code == 503
    assert tick.status_code == 500
    for told in (ready.json()["detail"], tick.json()["detail"]):
        assert told.startswith("SUPABASE_SERVICE_ROLE_KEY is refused by the project")
        assert "canary" not in told


def test_a_database_that_is_away_is_named_by_a_tick(start: Callable[..., Server], stack: Stack) -> None:
    server = start("scheduler", SUPABASE_URL=f"http://127.0.0.1:{find_free_port()}")
    server.wait_until_up()

    tick = httpx.post(
        server.url, json={"seconds": 1}, headers={"X-Scheduler-Secret": stack.scheduler_secret}, timeout=20
    )

    assert (tick.status_code, tick.headers["Retry-After"]) == (503, "5")
    assert tick.json()["detail"].startswith("SUPABASE_URL: the project at")


def test_a_tick_logs_what_it_did_with_severity_and_the_trace_of_its_request(
    start: Callable[..., Server], stack: Stack
) -> None:
    server = start("scheduler", GOOGLE_CLOUD_PROJECT="acme")
    server.wait_until_up()
    sent = {
        "X-Scheduler-Secret": stack.scheduler_secret,
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    }

    told = httpx.post(server.url, json={"seconds": 1}, headers=sent, timeout=20).json()

    lines = {line["message"]: line for line in server.read_lines()}
    assert {name: lines["tick"][name] for name in told} == told
    for name in ("tick", "request"):
        assert lines[name]["severity"] == "INFO"
        assert lines[name]["logging.googleapis.com/trace"] == f"projects/acme/traces/{TRACE}"
        assert lines[name]["logging.googleapis.com/spanId"] == "00f067aa0ba902b7"


def test_sigterm_lets_a_tick_end_and_be_answered_within_the_time_of_cloud_run(
    start: Callable[..., Server], stack: Stack
) -> None:
    server = start("scheduler")
    server.wait_until_up()
    replies: list[httpx.Response] = []
    sent = {"X-Scheduler-Secret": stack.scheduler_secret}
    tick = threading.Thread(
        target=lambda: replies.append(httpx.post(server.url, json={"seconds": 50}, headers=sent, timeout=60))
    )
    tick.start()
    time.sleep(1.5)

    begun = time.monotonic()
    server.process.terminate()
    exit_code = server.process.wait(30)
    seconds = time.monotonic() - begun
    tick.join()

    assert exit_code == 0
    assert seconds < CLOUD_RUN_SECONDS
    assert [reply.status_code for reply in replies] == [200]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SUPABASE_SERVICE_ROLE_KEY": ""}, "SUPABASE_SERVICE_ROLE_KEY must be set for worker"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_canary"}, "SUPABASE_SERVICE_ROLE_KEY is refused"),
    ],
)
def test_a_worker_that_can_do_nothing_ends_and_names_the_variable(
    stack: Stack, changed: dict[str, str], said: str
) -> None:
    usual = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))

    done = subprocess.run(
        [sys.executable, "-m", "shared.scheduler.worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **usual, **changed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert said in json.loads(done.stderr.splitlines()[-1])["message"]
    assert "canary" not in done.stderr
