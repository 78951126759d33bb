"""Metrics of an integration agree with what there is, whoever was killed and whatever was pruned meanwhile."""

from __future__ import annotations

import subprocess
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.end_to_end.monitoring.noise import make_noise
from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.platform import Platform, run_tick
from tests.seeds import SEEDS
from tests.stack import Stack

TRUTH = """
select (select count(*) from device_messages where integration_id = %(source)s and error is null) as stored,
       (select count(*) from device_messages where integration_id = %(source)s and error is not null) as failed,
       count(*) as enqueued, count(*) filter (where status = 'delivered') as deliveries,
       count(*) filter (where status = 'dead') as dead, count(*) filter (where status = 'cancelled') as cancelled,
       (select count(*) from webhook_attempts t join webhook_deliveries d on d.id = t.delivery_id
         where d.integration_id = %(webhook)s) as attempts
  from webhook_deliveries where integration_id = %(webhook)s
"""
SUMMED = (
    "received",
    "stored",
    "duplicates",
    "failed",
    "enqueued",
    "deliveries",
    "attempts",
    "dead",
    "cancelled",
)


def read_series(user: Platform, integration_id: str, **asked: str) -> list[dict[str, Any]]:
    """The points of GET /integrations/{id}/metrics."""
    reply = user.call("GET", f"/integrations/{integration_id}/metrics", params=asked)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["series"])


def add_up(series: list[dict[str, Any]]) -> Counter[str]:
    """The sums of what can be summed."""
    sums: Counter[str] = Counter()
    for point in series:
        assert point["received"] == point["stored"] + point["duplicates"] + point["failed"]
        sums.update({name: point[name] for name in SUMMED})
    return sums


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_are_what_there_is_after_a_noisy_run_with_kills_and_pruning(
    admin: Platform, stack: Stack, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> None:
    broker, webhook = make_noise(admin, stack, start_worker, seed)

    with stack.connect() as connection:
        cursor = connection.execute(TRUTH, {"source": broker["id"], "webhook": webhook["id"]})
        columns = [column.name for column in cursor.description or ()]
        truth = dict(zip(columns, cursor.fetchone() or (), strict=True))
    into, out = add_up(read_series(admin, broker["id"])), add_up(read_series(admin, webhook["id"]))
    assert (into["stored"], into["failed"]) == (truth["stored"], truth["failed"]) == (300, 60)
    assert into["received"] == into["stored"] + into["duplicates"] + into["failed"]
    ended = ("deliveries", "dead", "cancelled")
    assert {name: out[name] for name in ("enqueued", "attempts", *ended)} == {
        name: truth[name] for name in ("enqueued", "attempts", *ended)
    }
    assert out["enqueued"] == sum(out[name] for name in ended)

    _grow_old(stack, broker["id"], webhook["id"])
    run_tick(stack)
    month_ago = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    for integration, sums in ((broker, into), (webhook, out)):
        days = read_series(admin, integration["id"], step="day", **{"from": month_ago})
        assert add_up(days) == sums
        assert len([day for day in days if day["received"] or day["enqueued"]]) == 1


def _grow_old(stack: Stack, *integrations: str) -> None:
    """Have all that is counted so far be twenty days old, so that it is past its retention by the minute."""
    with stack.connect() as connection:
        for table in ("integration_metrics", "private.metric_tallies"):
            connection.execute(
                f"update {table} set minute = date_trunc('day', now()) - interval '20 days'"
                " + (minute - date_trunc('hour', minute))"
                " where integration_id = any (%s::uuid[])",
                (list(integrations),),
            )


def test_a_session_counts_its_connection_and_what_it_received(admin: Platform, stack: Stack) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    run_tick(stack)
    messages = readings(prefix, 5)
    publish(stack, messages)
    run_tick(stack)

    points = read_series(admin, broker["id"])
    assert sum(point["sessions"] for point in points) >= 2
    assert sum(point["bytes"] for point in points) == sum(len(body) for _, body in messages)
    assert all(point["connect_ms"] > 0 for point in points if point["connect_ms"] is not None)
    assert any(point["connect_ms"] for point in points)
    assert max(point["uptime_ratio"] or 0 for point in points) > 0


def test_what_is_pushed_is_counted_with_its_bytes_and_duplicates(admin: Platform, stack: Stack) -> None:
    created = admin.call(
        "POST",
        "/integrations",
        json={
            "organization_id": admin.user.organization_id,
            "integration_type": "http",
            "name": str(uuid.uuid4()),
            "config": {"event_id_path": "id"},
        },
    )
    assert created.status_code == 201, created.text
    integration, secret = created.json()["integration"], created.json()["generated"]["webhook_secret"]
    body = b'{"id": "one", "device": "pump", "temperature": 21.5}'
    for _ in range(2):
        reply = httpx.post(
            f"{stack.url}/functions/v1/receive/{integration['id']}",
            content=body,
            headers={"X-Webhook-Secret": secret, "Content-Type": "application/json"},
            timeout=60,
        )
        assert reply.status_code == 202, reply.text

    points = read_series(admin, integration["id"])
    sums = [sum(point[name] for point in points) for name in ("received", "stored", "duplicates", "bytes")]
    assert sums == [2, 1, 1, 2 * len(body)]


def test_an_integration_that_fails_says_of_what(admin: Platform, stack: Stack) -> None:
    broker = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1:1", "topics": "#"})
    run_tick(stack)

    points = read_series(admin, broker["id"])
    assert sum(point["failed_sessions"] for point in points) == 1
    assert Counter({kind: n for point in points for kind, n in point["errors"].items()}) == {
        "connection_refused": 1
    }
    assert [point["uptime_ratio"] for point in points if point["sessions"]] == [0]
    admin.call("DELETE", f"/integrations/{broker['id']}")


def test_there_is_a_point_for_each_step(admin: Platform) -> None:
    webhook = admin.create("webhook", {"url": "https://example.com/in"})
    until = datetime.now(UTC)

    for step, seconds, count in (("minute", 60, 90), ("hour", 3600, 50), ("day", 86400, 20)):
        since = until - timedelta(seconds=seconds * (count - 1))
        series = read_series(
            admin, webhook["id"], step=step, to=until.isoformat(), **{"from": since.isoformat()}
        )
        moments = [datetime.fromisoformat(point["at"]) for point in series]
        assert len(series) == count
        assert {(after - before).total_seconds() for before, after in pairwise(moments)} == {seconds}
        assert moments[0] <= since < moments[1]
    assert len(read_series(admin, webhook["id"])) == 61


@pytest.mark.parametrize(
    ("asked", "field", "status"),
    [
        ({"from": "2020-01-01T00:00:00Z", "step": "day"}, "from", 422),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from", 422),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}, "step", 422),
        ({"step": "week"}, "step", 400),
        ({"from": "yesterday"}, "from", 400),
        ({"since": "2026-01-01T00:00:00Z"}, "since", 400),
    ],
)
def test_what_can_not_be_answered_is_refused_by_name(
    admin: Platform, asked: dict[str, str], field: str, status: int
) -> None:
    webhook = admin.create("webhook", {"url": "https://example.com/in"})

    reply = admin.call("GET", f"/integrations/{webhook['id']}/metrics", params=asked)

    assert reply.status_code == status, reply.text
    assert [error["field"] for error in reply.json()["errors"]] == [field]
    if status == 422:
        assert reply.json()["code"] == "invalid_range"


def test_members_alone_read_metrics(admin: Platform, stack: Stack) -> None:
    webhook = admin.create("webhook", {"url": "https://example.com/in"})
    path = f"/integrations/{webhook['id']}/metrics"

    assert Platform(stack, stack.user("viewer")).call("GET", path).status_code == 200
    for other in (stack.user("stranger"), stack.user("owner", 1)):
        assert Platform(stack, other).call("GET", path).status_code == 404
        assert Platform(stack, other).rows("integration_totals", integration_id=f"eq.{webhook['id']}") == []
