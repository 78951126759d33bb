"""Deliveries: what went out, what did not and why; sent again, one or all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.console import Console
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform, enqueue, run_tick

MANY = 25_000


@pytest.fixture
def webhook(admin: Platform, receiver: HttpReceiver) -> dict[str, Any]:
    return admin.create("webhook", {"url": receiver.url, "retry_schedule": []}, name="Endpoint")


def open_deliveries(console: Console, webhook: dict[str, Any]) -> None:
    console.open(f"integrations/{webhook['id']}")
    console.page.get_by_role("tab", name="Deliveries").click()


def test_a_refused_delivery_shows_why_and_is_delivered_when_sent_again(
    console: Console, admin: Platform, receiver: HttpReceiver, webhook: dict[str, Any]
) -> None:
    receiver.answer = lambda _: Answer(410, b"gone for good")
    enqueue(admin, 1)
    run_tick(admin.stack)
    open_deliveries(console, webhook)
    row = console.page.locator("webhook-deliveries tbody tr").first
    row.get_by_text("Given up").wait_for()
    row.locator("button[aria-expanded]").click()
    console.page.get_by_text("HTTP 410").wait_for()
    console.page.get_by_text("gone for good").wait_for()
    console.page.get_by_text("What was sent (").click()
    sent = console.page.locator("webhook-deliveries pre")
    sent.get_by_text(f"POST {receiver.url}").wait_for()
    assert "webhook-signature: ***" in sent.inner_text()
    assert receiver.requests[0].body.decode() in sent.inner_text()

    receiver.answer = lambda _: Answer()
    row.get_by_role("button", name="Send again").click()
    console.page.get_by_text("One delivery will be sent again.").wait_for()
    run_tick(admin.stack)
    row.get_by_text("Delivered").wait_for()


def test_all_that_were_given_up_are_sent_again_call_by_call(
    console: Console, admin: Platform, webhook: dict[str, Any]
) -> None:
    enqueue(admin, 1)
    with admin.stack.connect() as connection:
        connection.execute(
            "update webhook_deliveries set status = 'dead' where integration_id = %s", (webhook["id"],)
        )
    replayed = 0

    def answer(route: Any) -> None:
        nonlocal replayed
        replayed += 1
        body = {
            "replayed": 10_000 if replayed < 3 else 5_000,
            "left": [15_000, 5_000, 0][replayed - 1],
            "replayed_at": "2026-11-01T00:00:00Z",
        }
        asked = route.request.post_data_json
        assert asked == {"status": "dead"} | (
            {"not_replayed_since": body["replayed_at"]} if replayed > 1 else {}
        )
        route.fulfill(json=body)

    console.page.route("**/deliveries/replay", answer)
    open_deliveries(console, webhook)
    console.button("Send all given up again").click()

    console.page.get_by_text("25,000 deliveries will be sent again.").wait_for()
    assert replayed == 3


def test_where_nothing_was_sent_yet_it_says_when_something_will_be(
    console: Console, webhook: dict[str, Any]
) -> None:
    open_deliveries(console, webhook)

    console.page.get_by_text("Nothing sent yet").wait_for()
