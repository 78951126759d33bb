"""The dispatcher against real endpoints: what these measure of rate, concurrency and order, and how failures show."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.platform import Platform, enqueue, run_tick


class Meter:
    """An endpoint's own measure: when requests came, and how many were there at once."""

    def __init__(self, seconds: float) -> None:
        self.arrivals: list[float] = []
        self.most_at_once = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, _: Received) -> Answer:
        with self._lock:
            self.arrivals.append(time.monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return Answer()

    def most_within(self, seconds: float) -> int:
        """The most arrivals in any window of that length."""
        return max(
            sum(start <= other < start + seconds for other in self.arrivals) for start in self.arrivals
        )


def run_side_by_side(run: Callable[[], Any], count: int) -> None:
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count_statuses(admin: Platform, webhook: dict[str, Any]) -> dict[str, int]:
    with admin.stack.connect() as connection:
        rows = connection.execute(
            "select status, count(*) from webhook_deliveries where integration_id = %s group by 1",
            (webhook["id"],),
        ).fetchall()
    return dict(rows)


def test_two_dispatchers_never_exceed_the_rate_and_the_concurrency_that_the_endpoint_measures(
    admin: Platform,
) -> None:
    meter = Meter(0.05)
    with HttpReceiver(meter) as receiver:
        webhook = admin.create("webhook", {"url": receiver.url})
        enqueue(admin, 130)
        run_side_by_side(lambda: run_tick(admin.stack, 20, 2), 2)

    assert meter.most_at_once <= 10
    assert meter.most_within(60) == 100
    assert count_statuses(admin, webhook) == {"delivered": 100, "pending": 30}


def test_payloads_that_together_are_larger_than_any_answer_may_be_all_arrive(admin: Platform) -> None:
    image = "A" * 900_000
    with HttpReceiver() as receiver:
        webhook = admin.create(
            "webhook", {"url": receiver.url, "rate_limit_per_minute": 1_000, "max_concurrent": 100}
        )
        enqueue(admin, 80, payload={"image": image})
        run_tick(admin.stack, 20, 1)

    assert count_statuses(admin, webhook) == {"delivered": 80}
    assert {len(json.loads(request.body)["data"]["payload"]["image"]) for request in receiver.requests} == {
        len(image)
    }


def test_a_failing_endpoint_is_left_alone_after_ten_attempts_and_says_so(admin: Platform) -> None:
    with HttpReceiver(lambda _: Answer(503)) as receiver:
        webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": [60]})
        enqueue(admin, 40)
        run_tick(admin.stack, 30, 1)

    (alert,) = admin.rows("alerts", integration_id=f"eq.{webhook['id']}", select="kind,level,resolved_at")
    shown = admin.call("GET", f"/integrations/{webhook['id']}").json()["integration"]
    assert 10 <= len(receiver.requests) < 40
    assert alert == {"kind": "webhook.failing", "level": "warning", "resolved_at": None}
    assert "503" in shown["error_message"]


def test_an_endpoint_that_says_gone_is_switched_off(admin: Platform) -> None:
    with HttpReceiver(lambda _: Answer(410)) as receiver:
        webhook = admin.create("webhook", {"url": receiver.url, "max_concurrent": 1})
        enqueue(admin, 5)
        run_tick(admin.stack, 30, 1)

    shown = admin.call("GET", f"/integrations/{webhook['id']}").json()["integration"]
    assert len(receiver.requests) == 1
    assert (shown["status"], "410" in shown["error_message"]) == ("inactive", True)
    assert count_statuses(admin, webhook) == {"dead": 1, "pending": 4}


def test_credentials_that_do_not_open_show_the_reason_and_cost_no_attempt(admin: Platform) -> None:
    with HttpReceiver() as receiver:
        webhook = admin.create("webhook", {"url": receiver.url, "bearer_token": "abcdefgh"})
        run_tick(admin.stack, 30, 0.3)
        with admin.stack.connect() as connection:
            connection.execute(
                "update private.integration_secrets set sealed_sent = 'k.broken' where integration_id = %s",
                (webhook["id"],),
            )
        enqueue(admin, 3)
        run_tick(admin.stack, 30, 0.5)

    rows = admin.rows("webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="status,attempts")
    shown = admin.call("GET", f"/integrations/{webhook['id']}").json()["integration"]
    assert receiver.requests == []
    assert {(row["status"], row["attempts"]) for row in rows} == {("pending", 0)}
    assert (shown["status"], bool(shown["error_message"])) == ("error", True)


def test_an_ordered_webhook_hears_a_device_in_order_through_failures(admin: Platform) -> None:
    turns = iter([200, 503, 503, 200, 503, 200, 200, 200])
    with HttpReceiver(lambda _: Answer(next(turns, 200))) as receiver:
        admin.create("webhook", {"url": receiver.url, "ordered": True, "retry_schedule": [0.1] * 5})
        enqueue(admin, 5)
        run_tick(admin.stack, 30, 1.5)

    heard = [request.headers["webhook-id"] for request in receiver.requests]
    assert heard == sorted(heard)
    assert len(set(heard)) == 5
