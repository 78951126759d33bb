"""A running stack, a mosquitto and workers as processes of their own, for tests that end them at will."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from scripts.local.stack import ROOT
from tests.fakes.brokers import Broker, publish_all
from tests.fakes.scripted_broker import ScriptedBroker
from tests.platform import Platform

PATIENCE_SECONDS = 40.0


@dataclass
class Site:
    """One MQTT integration of `broker`, which listens to `site/+/telemetry`."""

    admin: Platform
    broker: Broker | ScriptedBroker
    integration: dict[str, Any] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def clear(self) -> None:
        """Remove all integrations of the stack: workers serve whatever there is."""
        self.ask("with gone as (delete from device_integrations) select 1")

    def connect(self, **config: Any) -> None:
        """Add the integration, and have a worker subscribe."""
        address = {"broker_url": "mqtt://127.0.0.1", "port": self.broker.port, "topics": "site/+/telemetry"}
        self.integration = self.admin.create("mqtt", address | config)
        self.start_worker()
        self.wait_until(lambda: bool(self.subscribed), "no session has subscribed")

    @property
    def subscribed(self) -> list[str]:
        """The topics the session says it has subscribed to."""
        return sorted(self.ask("select s.state -> 'subscribed' from integration_schedules s") or {})

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more worker."""
        settings = dict(
            line.split("=", 1) for line in shlex.split(self.admin.stack.functions_env.read_text())
        )
        argv = [sys.executable, "-m", "shared.worker"]
        environment = {**os.environ, **settings}
        self.workers.append(subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL))
        return self.workers[-1]

    def kill_workers(self) -> None:
        """SIGKILL, and then what time does by itself within half a minute."""
        while self.workers:
            worker = self.workers.pop()
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        self.ask(
            "update integration_schedules set due_at = now() where lease_token is not null returning 1",
        )

    def restart_broker(self) -> None:
        """As an administrator does; it keeps its sessions on disk."""
        assert isinstance(self.broker, Broker)
        self.broker.stop()
        self.broker.start()

    @property
    def postgres_pid(self) -> int:
        """That of the stack."""
        return self.admin.stack.postgres_pid

    def stop_postgres(self) -> int:
        """The stack's, which starts it again; the process id it had."""
        return self.admin.stack.stop_postgres()

    def publish(self, numbers: Iterable[int], *, retain: bool = False, devices: int = 10) -> None:
        """One reading for each number."""
        readings = [
            (f"site/d{number % devices}/telemetry", json.dumps({"temperature": number})) for number in numbers
        ]
        publish_all(self.broker.port, readings, retain=retain)

    @property
    def stored(self) -> list[int]:
        """The numbers that are stored, sorted, as often as they are."""
        statement = "select json_agg(payload -> 'temperature') from device_messages where integration_id = %s"
        return sorted(self.ask(statement, self.integration["id"]) or [])

    def find_missing(self, numbers: list[int]) -> list[int]:
        """Those of `numbers` that are not stored; waits for a database that is away."""
        statement = (
            "select json_agg(payload -> 'temperature') from device_messages"
            " where integration_id = %s and payload -> 'temperature' = any (%s)"
        )
        while True:
            try:
                stored = self.ask(statement, self.integration["id"], [Jsonb(each) for each in numbers]) or []
            except psycopg.OperationalError:
                time.sleep(0.1)
                continue
            return sorted(set(numbers) - set(stored))

    def wait_for(self, count: int) -> None:
        """Until as many messages are stored."""
        statement = "select count(*) from device_messages where integration_id = %s"
        self.wait_until(
            lambda: self.ask(statement, self.integration["id"]) >= count, f"{count} messages were not stored"
        )

    def wait_until(self, is_done: Callable[[], bool], complaint: str) -> None:
        """Poll; AssertionError after a long time."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while not is_done():
            assert time.monotonic() < ends, complaint
            time.sleep(0.1)

    def ask(self, statement: str, *values: Any) -> Any:
        """The first value of the first row, None without one."""
        with self.admin.stack.connect() as connection:
            row = connection.execute(statement.encode(), values).fetchone()
        return row[0] if row else None
