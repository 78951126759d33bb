"""A running local stack as tests see it, and how tests start one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from pydantic import PrivateAttr

from scripts.local.data_folder import Ports, write_private
from scripts.local.processes import die_with_parent
from scripts.local.seed import User
from scripts.local.stack import ROOT, Report
from tests.plain import PLAIN
from tests.ports import find_free_port

START_SECONDS = 180.0


class Stack(Report):
    """The ready file's fields, and what tests do with them all the time."""

    _tokens: dict[str, str] = PrivateAttr(default_factory=dict)
    _data: Path = PrivateAttr(default=Path())

    @property
    def data(self) -> Path:
        """The folder it keeps everything in."""
        return self._data

    @property
    def functions_env(self) -> Path:
        """The file with the environment in which a function or worker of this stack runs by hand."""
        return self._data / "functions.env"

    def user(self, role: str, organization: int = 0) -> User:
        """The seeded user of a role (`stranger` too), in the first organization or the second."""
        organizations = list(dict.fromkeys(user.organization_id for user in self.users))
        wanted = None if role == "stranger" else organizations[organization]
        return next(user for user in self.users if (user.role, user.organization_id) == (role, wanted))

    def token(self, user: User) -> str:
        """A session token of the user; signs in once for all tests."""
        if user.email not in self._tokens:
            self._tokens[user.email] = self.sign_in(user)["access_token"]
        return self._tokens[user.email]

    def sign_in(self, user: User) -> dict[str, Any]:
        """A new session of the user, as /auth/v1 answers it."""
        reply = httpx.post(
            f"{self.url}/auth/v1/token?grant_type=password",
            json={"email": user.email, "password": user.password},
            headers={"apikey": self.anon_key},
            timeout=30,
            verify=PLAIN,
        )
        reply.raise_for_status()
        return dict(reply.json())

    @property
    def postgres_pid(self) -> int:
        """The process id of the running server, 0 while there is none."""
        try:
            # It is there, and empty, for a moment before it is written.
            return int((self._data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0] or 0)
        except FileNotFoundError:
            return 0

    def stop_postgres(self) -> int:
        """As its administrator does ("fast"), and the stack starts it again; the process id it had."""
        pid = self.postgres_pid
        os.kill(pid, signal.SIGINT)
        return pid

    def connect(self) -> psycopg.Connection:
        """A connection as `postgres`, who owns the tables; use it in a `with`."""
        return psycopg.connect(self.db_url)


@dataclass
class Serve:
    """One run of scripts/serve in a child process; without a worker unless asked, so that tests decide what moves."""

    folder: Path
    port: int
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    worker: bool = False

    def start(self) -> Stack:
        """Starts it and waits for its ready file; AssertionError with its output when it ends before."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            assert self.running, f"scripts/serve ended:\n{self.output}"
            assert time.monotonic() < deadline, f"scripts/serve is not ready:\n{self.output}"
            time.sleep(0.02)
        stack = Stack.model_validate_json(self.ready_file.read_bytes())
        stack._data = self.folder / "data"
        self._set_budgets(stack)
        return stack

    def launch(self) -> None:
        """Starts it without waiting."""
        self._choose_ports()
        argv = [
            sys.executable,
            "-m",
            "scripts.local",
            "--port",
            str(self.port),
            "--data",
            str(self.folder / "data"),
        ]
        argv += [
            "--ready-file",
            str(self.ready_file),
            "--postgres",
            os.environ.get("TEST_POSTGRES", "embedded"),
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *argv,
                    *([] if self.worker else ["--no-worker"]),
                    *os.environ.get("TEST_SERVE_ARGUMENTS", "").split(),
                    *self.arguments,
                ],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A test run that is killed takes its stacks along.
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - it makes one system call
            )

    def stop(self) -> int:
        """SIGTERM, then its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def _choose_ports(self) -> None:
        """Those of its database and broker too, as those of a start before are used again."""
        file = self.folder / "data" / "ports.json"
        if not file.exists():
            ports = Ports(postgres=find_free_port(), mqtt=find_free_port())
            write_private(file, ports.model_dump_json())

    def _set_budgets(self, stack: Stack) -> None:
        """What RATE_LIMIT_WRITES_USER and its like say, into the table that the rate limits are read from."""
        given = {name: value for name, value in self.environment.items() if name.startswith("RATE_LIMIT_")}
        with psycopg.connect(stack.db_url) as connection:
            for name, value in given.items():
                budget, _, whose = name.removeprefix("RATE_LIMIT_").lower().partition("_")
                connection.execute(
                    "update private.budgets set per_minute = %s where budget = %s and whose = %s",
                    (int(value), budget.removesuffix("s"), whose or "integration"),
                )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def ready_file(self) -> Path:
        """Written when everything answers."""
        return self.folder / "ready.json"

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.folder / "serve.log"
