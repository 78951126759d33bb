"""Every benchmark runs to its end and says what it promises: only their numbers need a quiet machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from scripts.benchmarks.__main__ import find_benchmarks, load_benchmark
from scripts.local.ports import find_free_port
from scripts.local.stack import ROOT
from shared.runtime.vault.keys import make_key
from tests.stack import Serve, Stack

PATIENCE_SECONDS = 240
KEYS = make_key("bench")
"""What the stack opens is sealed by the benchmarks."""

NOT_QUICK = {"full_lease_ratio", "full_lease_ratio_1000"}
LOSSES = ("lost", "duplicated", "concurrent_errors")
LAST = ("isolation", "rls")
"""They leave more behind than is quickly removed."""

NAMES = sorted(find_benchmarks(), key=lambda name: (name in LAST, name))


@pytest.fixture(scope="module")
def bench_stack() -> Iterator[tuple[Stack, Path]]:
    """One for all of them, for most of their time would be that of starting theirs; and its ready file."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        serve = Serve(Path(folder), find_free_port(), environment={"INTEGRATION_KEYS": KEYS})
        try:
            yield serve.start(), serve.ready_file
        finally:
            serve.stop()


def read_whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_to_its_end(name: str, bench_stack: tuple[Stack, Path]) -> None:
    stack, ready_file = bench_stack
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
        connection.execute("delete from webhook_deliveries")
        connection.execute("delete from devices")

    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        run = subprocess.Popen(
            [sys.executable, "-m", "scripts.benchmarks", name, "--smoke", "--json"],
            cwd=ROOT,
            env=os.environ | {"BENCH_STACK": str(ready_file), "INTEGRATION_KEYS": KEYS},
            stdout=said,
            stderr=told,
            start_new_session=True,
        )
        try:
            status = run.wait(PATIENCE_SECONDS)
        finally:
            # What it has started ends with it, also where it does not come to its end.
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        output, errors = read_whole(said), read_whole(told)

    assert status == 0, errors[-4_000:]
    numbers = json.loads(output.splitlines()[-1])
    assert load_benchmark(name).REACH.keys() - NOT_QUICK <= numbers.keys()
    assert [key for key in LOSSES if numbers.get(key)] == []
