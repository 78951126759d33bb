"""The connection test in the dialog: steps as they end, of the form as it stands, on old servers too."""

from __future__ import annotations

import json
import threading

from tests.browser.console import Console, create_mqtt
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform


def test_steps_are_shown_before_the_test_has_ended(console: Console, receiver: HttpReceiver) -> None:
    may_answer = threading.Event()

    def wait(_: object) -> Answer:
        may_answer.wait(20)
        return Answer()

    receiver.answer = wait
    console.add("webhook")
    console.field("url").fill(receiver.url)
    console.dialog.get_by_role("button", name="Test connection").click()
    steps = console.dialog.locator(".steps")

    steps.locator("li").first.wait_for()
    assert "Testing …" in steps.get_by_role("status").inner_text()
    may_answer.set()
    steps.get_by_text("The connection works.").wait_for()


def test_what_fails_is_said_at_the_step_it_fails_at(console: Console) -> None:
    console.add("mqtt")
    console.field("broker_url").fill("mqtt://127.0.0.1:1")
    console.field("topics").fill("a/+")
    console.dialog.get_by_role("button", name="Test connection").click()

    console.dialog.get_by_text("The connection does not work yet.").wait_for()
    assert console.dialog.locator(".steps li").last.locator("b.is-bad").count() == 1


def test_an_old_server_that_knows_no_events_shows_all_steps_at_once(console: Console) -> None:
    checks = [
        {"name": "address", "ok": True, "detail": "It is there.", "ms": 1.0},
        {"name": "tcp", "ok": True, "detail": "It answers.", "ms": 2.0},
    ]
    console.page.route(
        "**/integrations/test",
        lambda route: route.fulfill(
            status=200, content_type="application/json", body=json.dumps({"ok": True, "checks": checks})
        ),
    )
    console.add("mqtt")
    console.dialog.get_by_role("button", name="Test connection").click()

    console.dialog.get_by_text("The connection works.").wait_for()
    assert console.dialog.locator(".steps li").all_inner_texts() == [
        "✓ address\nIt is there.\n1 ms",
        "✓ tcp\nIt answers.\n2 ms",
    ]


def test_one_module_that_is_missing_leaves_the_others_working(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.page.route("**/elements/chart.js", lambda route: route.abort())
    console.open("")

    console.button("Broker").wait_for()
    console.page.get_by_text("No messages yet.").wait_for()
    assert all("<integration-chart> could not be loaded" in said for said in console.said)
    console.said.clear()


def test_an_answer_that_breaks_off_is_no_connection_that_works(console: Console) -> None:
    step = {"name": "address", "ok": True, "detail": "It is there.", "ms": 1.0}
    console.page.route(
        "**/integrations/test",
        lambda route: route.fulfill(
            content_type="text/event-stream", body=f"event: check\ndata: {json.dumps(step)}\n\n"
        ),
    )
    console.add("mqtt")
    console.dialog.get_by_role("button", name="Test connection").click()

    console.dialog.get_by_text("The server does not answer.").wait_for()
    assert console.dialog.get_by_text("The connection works.").count() == 0
