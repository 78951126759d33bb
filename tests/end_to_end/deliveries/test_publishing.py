"""Deliveries by a provider that publishes itself, over real sockets: same queue, retries, dead letters and alerts."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from shared import providers
from shared.deliveries import dispatch_deliveries, publishing
from shared.provider import find_provider, list_types
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.fakes.http_receiver import HttpReceiver
from tests.fakes.line_server import PROVIDER, LineServer
from tests.platform import Platform, enqueue
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("functions_environment")


@pytest.fixture(autouse=True)
def _lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The provider `lines` beside the others, in one file of a folder of its own."""
    (tmp_path / "lines.py").write_text(PROVIDER)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    for cached in (find_provider, list_types):
        cached.cache_clear()
    yield
    sys.modules.pop("shared.providers.lines", None)
    for cached in (find_provider, list_types):
        cached.cache_clear()


def subscribe(admin: Platform, port: int, **settings: Any) -> str:
    """An integration of the type `lines`; past the API, whose process does not know that type."""
    values = {"events": ["*"], "rate_limit_per_minute": 10_000, "port": port} | settings
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            " values (%s, 'lines', %s, %s) returning id",
            (admin.user.organization_id, f"lines {uuid.uuid4()}", Jsonb(values)),
        ).fetchone()
    assert row is not None
    return str(row[0])


def work(seconds: float = 2.0) -> Counter[str]:
    """What a tick of so many seconds does with deliveries."""
    return asyncio.run(dispatch_deliveries(as_service(), Deadline(seconds), Pulse()))


def show(admin: Platform, integration_id: str) -> list[tuple[str, int, str | None, str | None]]:
    """Of each delivery: its status and attempts, and the error and answer of the last of these."""
    query = (
        "select d.status, d.attempts, a.error, a.reply from webhook_deliveries d"
        " left join lateral (select * from webhook_attempts w"
        " where w.delivery_id = d.id order by attempt desc limit 1) a on true"
        " where d.integration_id = %s order by d.id"
    )
    with admin.stack.connect() as connection:
        return connection.execute(query, (integration_id,)).fetchall()


def make_due(admin: Platform) -> None:
    with admin.stack.connect() as connection:
        connection.execute("update webhook_deliveries set due_at = now() where status = 'pending'")


def test_events_are_published_together_and_recorded_with_what_the_other_side_calls_them(
    admin: Platform,
) -> None:
    with LineServer() as server:
        integration = subscribe(admin, server.port, max_concurrent=100)
        enqueue(admin, 40)
        counts = work()

    (lines,) = server.connections
    assert counts == {"delivered": 40, "retried": 0, "dead": 0, "unsent": 0, "late": 0}
    assert sorted(line["payload"]["n"] for line in lines) == list(range(40))
    rows = show(admin, integration)
    assert {(status, attempts, error) for status, attempts, error, _ in rows} == {("delivered", 1, None)}
    assert {reply for *_, reply in rows} == {line["id"] for line in lines}


def test_what_may_pass_follows_the_schedule_and_what_is_refused_for_good_is_dead_at_once(
    admin: Platform,
) -> None:
    words = {0: "later", 1: "never in this life", 2: "ok", 3: "silence"}
    with LineServer(lambda line: words[line["payload"]["n"]]) as server:
        integration = subscribe(admin, server.port, retry_schedule=[300])
        enqueue(admin, 4)
        first = work()
        rows = sorted(show(admin, integration), key=str)
        make_due(admin)
        second = work()

    assert (first["delivered"], first["retried"], first["dead"]) == (1, 2, 1)
    assert (second["delivered"], second["retried"], second["dead"]) == (0, 0, 2)
    assert rows == [
        ("dead", 1, "command_refused: Never: in this life.", None),
        ("delivered", 1, None, None),
        ("pending", 1, "outside_error: Nothing was said of what became of it.", None),
        ("pending", 1, "provider_refused: Not now.", None),
    ]


def test_a_delivery_is_done_when_every_recipient_has_it_and_tells_who_has_not(admin: Platform) -> None:
    answers = {"ada": "ok 1", "bob": "later", "cy": "never again"}
    with LineServer(lambda line: answers[line["to"]]) as server:
        integration = subscribe(admin, server.port, recipients=list(answers))
        enqueue(admin, 1)
        work()
        first = show(admin, integration)
        answers["bob"] = answers["cy"] = "ok 2"
        make_due(admin)
        work()

    told = "ada: 1\nbob: Not now.\ncy: Never: again."
    assert first == [("pending", 1, "provider_refused: Not now.", told)]
    assert show(admin, integration) == [("delivered", 2, None, "ada: 1\nbob: 2\ncy: 2")]


def hang(_: Any) -> str:
    time.sleep(20)
    return "ok"


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        (hang, "timeout: It was not published in time."),
        (lambda _: "what?", "internal: It could not be sent; the log has the details."),
        (lambda _: "nonsense", "internal: It could not be sent; the log has the details."),
    ],
)
def test_a_provider_that_hangs_or_breaks_harms_nobody_else(
    admin: Platform, monkeypatch: pytest.MonkeyPatch, judge: Callable[[Any], str], told: str
) -> None:
    monkeypatch.setattr(publishing, "BATCH_SECONDS", 1.0)
    with LineServer(judge) as broken, LineServer() as server, HttpReceiver() as receiver:
        bad, good = subscribe(admin, broken.port), subscribe(admin, server.port)
        webhook = admin.create("webhook", {"url": receiver.url})["id"]
        enqueue(admin, 8)
        begun = time.monotonic()
        work(4)
        seconds = time.monotonic() - begun

    assert [row[:3] for row in show(admin, bad)] == [("pending", 1, told)] * 8
    assert {row[:2] for each in (good, webhook) for row in show(admin, each)} == {("delivered", 1)}
    assert seconds < 7


def test_more_threads_than_a_type_may_have_are_waited_for(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PLACES_OF_A_TYPE", 2)
    monkeypatch.setattr(publishing, "_places", {})
    busy, most, lock = [0], [0], threading.Lock()

    def judge(line: dict[str, Any]) -> str:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.1)
        with lock:
            busy[0] -= 1
        return f"ok {line['id']}"

    with LineServer(judge) as server:
        integrations = [subscribe(admin, server.port) for _ in range(6)]
        enqueue(admin, 2)
        work(4)

    assert most == [2]
    assert {row[:2] for each in integrations for row in show(admin, each)} == {("delivered", 1)}


def test_what_comes_while_a_batch_is_under_way_is_published_with_the_next(admin: Platform) -> None:
    has_begun, has_come = threading.Event(), threading.Event()

    def judge(line: dict[str, Any]) -> str:
        has_begun.set()
        has_come.wait(PATIENCE_SECONDS)
        return f"ok {line['id']}"

    with LineServer(judge) as server:
        integration = subscribe(admin, server.port)
        enqueue(admin, 1)
        working = threading.Thread(target=work, args=(6,))
        working.start()
        has_begun.wait(PATIENCE_SECONDS)
        enqueue(admin, 2)
        has_come.set()
        working.join()

    assert [len(lines) for lines in server.connections] == [1, 2]
    assert [row[0] for row in show(admin, integration)] == ["delivered"] * 3


def test_failures_in_a_row_open_the_circuit_and_raise_the_alert_as_with_webhooks(admin: Platform) -> None:
    with LineServer(lambda _: "later") as server:
        integration = subscribe(admin, server.port, retry_schedule=[60])
        enqueue(admin, 12)
        work()

    (alert,) = admin.rows("alerts", integration_id=f"eq.{integration}", select="kind,level,resolved_at")
    assert alert == {"kind": "webhook.failing", "level": "warning", "resolved_at": None}
