"""A local stack of its own for a benchmark, in a temporary folder, stopped at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from scripts.local.ports import find_free_port
from scripts.local.stack import ROOT, Report

START_SECONDS = 120.0


@contextmanager
def start_stack() -> Iterator[Report]:
    """What scripts/serve starts, on a free port, without rate limits; its Postgres is what TEST_POSTGRES names.

    BENCH_STACK may name the ready file of a stack that runs already, which is written to and goes on running.
    """
    if ready_file := os.environ.get("BENCH_STACK"):
        report = Report.model_validate_json(Path(ready_file).read_bytes())
        _lift_limits(report)
        yield report
        return
    # A short name, because a unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ready = Path(folder) / "ready.json"
        log = Path(folder) / "serve.log"
        with log.open("wb") as output:
            process = _launch(Path(folder), ready, output.fileno())
        try:
            _wait_until_ready(process, ready, log)
            report = Report.model_validate_json(ready.read_bytes())
            _lift_limits(report)
            yield report
        finally:
            process.terminate()
            process.wait(60)


def _lift_limits(report: Report) -> None:
    with psycopg.connect(report.db_url) as connection:
        connection.execute("update private.budgets set per_minute = 0")


def _launch(folder: Path, ready: Path, output: int) -> subprocess.Popen[bytes]:
    postgres = os.environ.get("TEST_POSTGRES", "embedded")
    options = {"--port": str(find_free_port()), "--data": str(folder / "data"), "--postgres": postgres}
    argv = [sys.executable, "-m", "scripts.local", "--no-worker", "--ready-file", str(ready)]
    argv += [part for option in options.items() for part in option]
    return subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The stack did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
