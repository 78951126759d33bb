"""Alerts raised by hand, and the dispatcher telling people of them in the test's own process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.deliveries import dispatch_deliveries
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.platform import Platform
from tests.waiting import PATIENCE_SECONDS

MOST_TICKS = 5
IDLE_SECONDS = 0.5
WAITING = (
    "select 1 from webhook_deliveries"
    " where status = 'pending' and attempts = 0 and gathered_by is null and due_at <= now() limit 1"
)
LEASED = "select 1 from webhook_deliveries where status = 'delivering' limit 1"


def end_idle(
    deadline: Deadline,
    pulse: Pulse,
    has_looked: threading.Event,
    is_leased: Callable[[], object],
    seconds: float,
) -> None:
    """So many seconds after the first look end what goes on until `deadline`, once nothing is under way.

    What is leased by then and begun later would have no time left, and be told as a timeout of the other side.
    """
    has_looked.wait(deadline.remaining())
    time.sleep(seconds)
    while not deadline.expired and (pulse.idle_seconds() < IDLE_SECONDS or is_leased()):
        time.sleep(0.05)
    deadline.shorten(IDLE_SECONDS)


@dataclass(frozen=True)
class Telling:
    """One organization."""

    admin: Platform

    def make_source(self) -> str:
        """An integration that something is wrong with."""
        return str(
            self.admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")[
                "id"
            ]
        )

    def raise_alert(self, source: str, kind: str = "webhook.failing", level: str = "warning") -> None:
        """Say that something is wrong with it."""
        self.run("select private.raise_alert(%s, %s, %s, 'It fails.', '{}')", source, kind, level)

    def resolve_alerts(self, source: str) -> None:
        """Say that it is over."""
        self.run("select private.resolve_alerts(%s, 'Over.')", source)

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement of the database's owner."""
        with self.admin.stack.connect() as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    def work(self, seconds: float = 0.5) -> Counter[str]:
        """What ticks of at least so many seconds do with deliveries: as long, and as many, as a slow machine needs."""
        done: Counter[str] = Counter()
        for _ in range(MOST_TICKS):
            deadline, pulse, has_looked = Deadline(PATIENCE_SECONDS), Pulse(), threading.Event()
            watch = (deadline, pulse, has_looked, partial(self.run, LEASED), seconds)
            threading.Thread(target=end_idle, args=watch, daemon=True).start()
            done += asyncio.run(dispatch_deliveries(as_service().watched(has_looked.set), deadline, pulse))
            if not self.run(WAITING):
                break
        return done

    def make_due(self) -> None:
        """What waits, waits no longer."""
        self.run(
            "update webhook_deliveries set due_at = now() where status = 'pending' and gathered_by is null"
        )

    def show(self, notifier: str) -> list[tuple[str, str, str | None]]:
        """Of each delivery for whom it is, its status and the last error."""
        rows = self.run(
            "select d.recipient, d.status, (select a.error from webhook_attempts a where a.delivery_id = d.id"
            " order by a.id desc limit 1) from webhook_deliveries d where d.integration_id = %s"
            " order by d.created_at, d.recipient",
            notifier,
        )
        return [(str(name), str(status), error) for name, status, error in rows]

    def list_alerts(self, notifier: str) -> list[tuple[str, str]]:
        """The open alerts of an integration: kind and message."""
        return [
            (str(kind), str(message))
            for kind, message in self.run(
                "select kind, message from alerts where integration_id = %s and resolved_at is null order by kind",
                notifier,
            )
        ]
