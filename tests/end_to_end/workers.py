"""One integration, and workers that serve it as processes of their own, which may be killed."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg

from scripts.local.stack import ROOT
from tests.platform import Platform
from tests.stack import Stack
from tests.waiting import wait_until


class Workers:
    """The stack serves no other integration meanwhile. Kill the workers at the end."""

    def __init__(self, stack: Stack) -> None:
        self.admin = Platform(stack, stack.user("admin", 0))
        self.id = ""
        self._running: list[subprocess.Popen[bytes]] = []
        self.ask("with gone as (delete from device_integrations) select 1")

    def start_worker(self) -> None:
        """One more."""
        environment = shlex.split(self.admin.stack.functions_env.read_text())
        settings = dict(line.split("=", 1) for line in environment)
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.scheduler.worker"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._running.append(process)

    def end_worker(self) -> None:
        """One of them is told to end, and does."""
        leaving = self._running.pop()
        leaving.terminate()
        leaving.wait(60)

    def kill_workers(self) -> None:
        """SIGKILL, and then what time does by itself within half a minute."""
        while self._running:
            worker = self._running.pop()
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self.ask("update integration_schedules set due_at = now() where lease_token is not null returning 1")
        self.ask("update webhook_deliveries set due_at = now() where status = 'delivering' returning 1")

    def start_until_more(self, most: int) -> None:
        """Another, until something more is stored, of so much that there is."""
        before = self.count()
        self.start_worker()
        self.wait_for(min(before + 1, most))

    def kill_while_reading(self, most: int, seed: int) -> None:
        """So much is stored by workers that are killed while they read, and one that may go on."""
        chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
        for _ in range(3):
            self.start_until_more(most)
            time.sleep(chance.uniform(0, 0.1))
            self.kill_workers()
        self.start_worker()
        self.wait_for(most)

    def restart_postgres_while_reading(self, seed: int) -> None:
        """A worker that has stored something is without Postgres for a while."""
        self.start_worker()
        self.wait_for(1)
        time.sleep(random.Random(seed).uniform(0, 0.2))  # noqa: S311 - as above
        stack = self.admin.stack
        before = stack.stop_postgres()
        wait_until(lambda: stack.postgres_pid not in {0, before}, "Postgres did not come back")
        wait_until(self._is_up, "Postgres takes no connections")

    def _is_up(self) -> bool:
        try:
            return bool(self.ask("select 1"))
        except psycopg.OperationalError:
            return False

    def wait_for_error(self) -> str:
        """What the integration says that is wrong with it, once it does."""
        statement = "select error_message from device_integrations where id = %s"
        wait_until(lambda: self.ask(statement, self.id), "no word")
        return str(self.ask(statement, self.id))

    def count(self) -> int:
        """How many messages are stored."""
        return int(self.ask("select count(*) from device_messages where integration_id = %s", self.id))

    def wait_for(self, count: int) -> None:
        """Until so many are."""
        wait_until(lambda: self.count() >= count, f"{count} messages were not stored")

    def list_stored(self, name: str) -> list[Any]:
        """What stands under `name` in the payloads that are stored, sorted."""
        statement = "select json_agg(payload -> %s) from device_messages where integration_id = %s"
        return sorted(self.ask(statement, name, self.id) or [])

    def ask(self, statement: str, *values: Any) -> Any:
        """The first value of the first row."""
        with self.admin.stack.connect() as connection:
            row = connection.execute(statement.encode(), values).fetchone()
        return row[0] if row else None
