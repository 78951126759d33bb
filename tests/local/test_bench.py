"""Every benchmark runs to its end and says what it promises: only their numbers need a quiet machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.benchmarks.__main__ import find_benchmarks, load_benchmark
from scripts.benchmarks._scratch import find_free_port
from scripts.local.stack import ROOT
from tests.stack import Serve, Stack

NOT_QUICK = {"full_lease_ratio", "full_lease_ratio_1000"}
LOSSES = ("lost", "duplicated", "concurrent_errors")
LAST = ("isolation", "rls")
"""They leave more behind than is quickly removed."""

NAMES = sorted(find_benchmarks(), key=lambda name: (name in LAST, name))


@pytest.fixture(scope="module")
def bench_stack() -> Iterator[tuple[Stack, Path]]:
    """One for all of them, for most of their time would be that of starting theirs; and its ready file."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        serve = Serve(Path(folder), find_free_port())
        try:
            yield serve.start(), serve.ready_file
        finally:
            serve.stop()


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_to_its_end(name: str, bench_stack: tuple[Stack, Path]) -> None:
    stack, ready_file = bench_stack
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
        connection.execute("delete from webhook_deliveries")

    run = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks", name, "--smoke", "--json"],
        cwd=ROOT,
        env=os.environ | {"BENCH_STACK": str(ready_file)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-4_000:]
    numbers = json.loads(run.stdout.splitlines()[-1])
    assert load_benchmark(name).REACH.keys() - NOT_QUICK <= numbers.keys()
    assert [key for key in LOSSES if numbers.get(key)] == []
