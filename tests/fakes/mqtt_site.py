"""A running stack, a mosquitto and workers as processes of their own, for tests that end them at will."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from scripts.local.stack import ROOT
from tests.fakes.ack_watch import AckWatch, Connection
from tests.fakes.brokers import Broker, publish_all
from tests.fakes.scripted_broker import ScriptedBroker
from tests.plain import PLAIN
from tests.platform import Platform
from tests.ports import find_free_port
from tests.waiting import wait_until

STORED_SINCE = """
select coalesce(json_agg(payload -> 'temperature'), '[]'),
       coalesce(max(received_at) - interval '2 s', '-infinity')::text
  from device_messages where integration_id = %s and received_at >= %s::timestamptz
"""
EVER = "-infinity"


@dataclass
class Site:
    """One MQTT integration of `broker`, through `watch` where there is one, which listens to `site/+/telemetry`."""

    admin: Platform
    broker: Broker | ScriptedBroker
    watch: AckWatch | None = None
    integration: dict[str, Any] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _seen_until: str = EVER

    def clear(self) -> None:
        """Remove all integrations of the stack: workers serve whatever there is."""
        self.ask("with gone as (delete from device_integrations) select 1")

    def connect(self, **config: Any) -> None:
        """Add the integration, and have a worker subscribe."""
        self.add_integration(**config)
        self.start_worker()
        wait_until(lambda: bool(self.subscribed), "no session has subscribed")

    def add_integration(self, **config: Any) -> None:
        """Add the integration; whatever runs sessions will find it."""
        port = (self.watch or self.broker).port
        address = {"broker_url": "mqtt://127.0.0.1", "port": port, "topics": "site/+/telemetry"}
        self.integration = self.admin.create("mqtt", address | config)

    @property
    def connections(self) -> list[Connection]:
        """Those that sessions have made to the broker."""
        assert self.watch is not None
        return self.watch.connections

    @property
    def subscribed(self) -> list[str]:
        """The topics the session says it has subscribed to."""
        return sorted(self.ask("select s.state -> 'subscribed' from integration_schedules s") or {})

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more worker."""
        return self._launch([sys.executable, "-m", "shared.scheduler.worker"])

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """The scheduler function as a process of its own, with a tick under way; counted among the workers."""
        port, options = find_free_port(), {"--source": "functions/scheduler.py", "--target": "scheduler"}
        options |= {"--host": "127.0.0.1", "--port": str(port)}
        argv = [sys.executable, "-m", "functions_framework", *itertools.chain(*options.items())]
        scheduler = self._launch(argv)
        threading.Thread(target=self._ask_for_tick, args=(scheduler, port)).start()
        return scheduler

    def _ask_for_tick(self, scheduler: subprocess.Popen[bytes], port: int) -> None:
        """Until it is answered or killed."""
        while scheduler.poll() is None:
            with suppress(httpx.TransportError):
                headers = {"X-Scheduler-Secret": self.admin.stack.scheduler_secret}
                url = f"http://127.0.0.1:{port}"
                httpx.post(url, json={"seconds": 60}, headers=headers, timeout=70, verify=PLAIN)
            time.sleep(0.05)

    def _launch(self, argv: list[str]) -> subprocess.Popen[bytes]:
        settings = dict(
            line.split("=", 1) for line in shlex.split(self.admin.stack.functions_env.read_text())
        )
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.workers.append(process)
        return process

    def kill_workers(self) -> None:
        """SIGKILL, to their children too, and then what time does by itself within half a minute."""
        while self.workers:
            worker = self.workers.pop()
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self.expire_leases()

    def expire_leases(self) -> None:
        """What half a minute without a renewal does."""
        self.ask("update integration_schedules set due_at = now() where lease_token is not null returning 1")

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

    def list_arrivals(self) -> list[tuple[int, float]]:
        """The numbers that are stored, sorted, each with the second it arrived."""
        statement = (
            "select json_agg(json_build_array(payload -> 'temperature', extract(epoch from received_at)))"
            " from device_messages where integration_id = %s"
        )
        return sorted((number, second) for number, second in self.ask(statement, self.integration["id"]))

    def find_missing(self, numbers: list[int]) -> list[int]:
        """Those of `numbers` that are not stored; waits for a database that is away."""
        for since in (self._seen_until, EVER):
            if not self._seen.issuperset(numbers):
                self._see_stored(since)
        return sorted(set(numbers) - self._seen)

    def _see_stored(self, since: str) -> None:
        while True:
            try:
                with self.admin.stack.connect() as connection:
                    row = connection.execute(STORED_SINCE, [self.integration["id"], since]).fetchone()
            except psycopg.OperationalError:
                time.sleep(0.1)
                continue
            assert row is not None
            self._seen.update(row[0])
            self._seen_until = row[1]
            return

    def wait_for(self, count: int) -> None:
        """Until as many messages are stored."""
        statement = "select count(*) from device_messages where integration_id = %s"
        wait_until(
            lambda: self.ask(statement, self.integration["id"]) >= count, f"{count} messages were not stored"
        )

    def ask(self, statement: str, *values: Any) -> Any:
        """The first value of the first row, None without one."""
        with self.admin.stack.connect() as connection:
            row = connection.execute(statement.encode(), values).fetchone()
        return row[0] if row else None
