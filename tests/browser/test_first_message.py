"""From an empty organization to the first message of a broker on the screen, and why there is none yet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import httpx

from scripts.local.stack import ROOT
from tests.browser.console import Console
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform
from tests.stack import Stack
from tests.waiting import wait_until


def connect_broker(console: Console, stack: Stack, topic: str) -> None:
    console.add("mqtt")
    for name, text in {"name": "Broker", "broker_url": stack.mqtt_url, "topics": topic}.items():
        console.field(name).fill(text)
    console.save()


def publish(stack: Stack) -> bool:
    argv = [sys.executable, "-m", "scripts.local.publish", "first/pump-7/telemetry", '{"temperature": 21}']
    subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "BROKER_URL": stack.mqtt_url}, check=True, capture_output=True
    )
    return True


def test_a_new_broker_leads_to_its_first_message(
    console: Console, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    connect_broker(console, stack, "first/+/telemetry")
    console.page.get_by_role("heading", name="Waiting for the first message").wait_for()
    assert "-t first/demo/telemetry" in console.page.locator("first-message pre").inner_text()
    start_worker()
    # As a device does that goes on: what it says before somebody listens is lost.
    here = console.page.get_by_text("The first message is here")
    wait_until(lambda: publish(stack) and here.count(), "no message came", 0.5)
    console.page.get_by_text("✓ First message: pump-7").wait_for()
    others = console.page.locator("first-message li:not(.is-good)")
    wait_until(lambda: others.count() == 0, "a step is not done")
    console.page.get_by_text('{"temperature":21}').wait_for()


def test_where_no_worker_runs_it_says_so(console: Console, stack: Stack) -> None:
    console.page.clock.install()
    connect_broker(console, stack, "first/+/telemetry")
    console.page.get_by_role("heading", name="Waiting for the first message").wait_for()
    console.page.clock.fast_forward(125_000)

    console.page.get_by_text("Nobody has looked at this broker yet. Is the scheduler running?").wait_for()


def test_a_new_webhook_is_sent_a_test_event(console: Console, receiver: HttpReceiver) -> None:
    console.add("webhook")
    console.field("name").fill("Endpoint")
    console.field("url").fill(receiver.url)
    console.save()
    console.dialog.get_by_role("button", name="I have copied it").click()
    console.button("Send a test event").click()
    wait_until(lambda: console.page.evaluate("1") and receiver.requests, "no test event came")

    assert b"integration.test" in receiver.requests[0].body


def test_what_is_pushed_to_waits_for_no_scheduler_and_no_topics(
    console: Console, admin: Platform, stack: Stack
) -> None:
    console.add("http")
    console.field("name").fill("Meters")
    console.field("webhook_secret").fill("a-secret-of-16-characters")
    console.save()
    console.page.get_by_role("heading", name="Waiting for the first message").wait_for()
    assert console.page.locator("first-message li").all_inner_texts() == ["… First message"]
    assert "curl " in console.page.locator("first-message pre").inner_text()
    (made,) = admin.call("GET", "/integrations").json()["integrations"]
    httpx.post(
        f"{stack.functions_url}/receive/{made['id']}/devices/meter-1",
        json={"temperature": 21},
        headers={"X-Webhook-Secret": "a-secret-of-16-characters"},
        timeout=60,
    ).raise_for_status()

    console.page.get_by_text("✓ First message: meter-1").wait_for()
