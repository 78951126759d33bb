"""Functions as the image serves them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.processes import die_with_parent
from scripts.local.stack import ROOT
from tests.ports import find_free_port
from tests.stack import Stack
from tests.waiting import wait_until

IMAGE = ("-m", "shared.runtime.web.server")


class Server:
    """One process of the image's command, or of another."""

    def __init__(self, folder: Path, environment: dict[str, str], command: Sequence[str] = IMAGE) -> None:
        self.log, self.port = folder / "server.log", find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PORT": str(self.port), "THREADS": "8", **environment},
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it makes one system call
            )

    def wait_until_up(self) -> None:
        """Until it answers; the log where it does not."""
        wait_until(lambda: self.process.poll() is not None or self._answers(), "it does not start")
        assert self.process.poll() is None, self.log.read_text()

    def read_lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").status_code in {200, 404, 405}
        except httpx.TransportError:
            return False


@pytest.fixture
def start(stack: Stack, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a function with the environment of the stack, changed as asked."""
    started: list[Server] = []

    def start_server(function: str, command: Sequence[str] = IMAGE, **changed: str) -> Server:
        usual = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))
        names = {"FUNCTION_SOURCE": f"functions/{function}.py", "FUNCTION_TARGET": function}
        started.append(Server(tmp_path, usual | names | changed, command))
        return started[-1]

    yield start_server
    for server in started:
        server.process.kill()
        server.process.wait()
