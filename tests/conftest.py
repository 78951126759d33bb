"""What all tests share: one running stack, ways to start others, and Node packages."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from scripts.local.processes import die_with_parent
from scripts.local.stack import ROOT
from shared.runtime.settings import load_settings
from tests.fakes.golioth import FakeGolioth
from tests.ports import find_free_port
from tests.stack import Serve, Stack

if TYPE_CHECKING:
    from tests.fakes.aws import FakeAws

UNLIMITED = dict.fromkeys(
    (
        "RATE_LIMIT_WRITES_USER",
        "RATE_LIMIT_WRITES_ORGANIZATION",
        "RATE_LIMIT_TESTS_USER",
        "RATE_LIMIT_TESTS_ORGANIZATION",
        "RATE_LIMIT_CHANGES_USER",
        "RATE_LIMIT_CHANGES_ORGANIZATION",
        "RATE_LIMIT_AUDIT_USER",
    ),
    "1000000",
)
"""One admin makes all the calls of all tests; what limits do is tested on a stack of its own."""

# ws: supabase-js asks for it where Node is older than 22 and has no WebSocket of its own.
NODE_PACKAGES = ("@supabase/supabase-js@2.109.0", "ws@8.23.0", "supabase@3.1.0")


# No example fails for what else the machine does. A test with a `suppress_health_check` of its own takes that back.
_UNTIMED = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
settings.register_profile("search", _UNTIMED)
# The same examples in each run, so that one is red for what was changed; `--hypothesis-profile search` takes others.
settings.register_profile("repeatable", _UNTIMED, derandomize=True, database=None)
settings.load_profile("repeatable")

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "end_to_end/test_openapi.py",
    "local/test_bench.py",
    "local/test_serve.py",
    "end_to_end/providers/mqtt/test_worker.py",
    "end_to_end",
    "local",
    "upgrades",
    "browser",
    "database",
)
"""Files that take minutes, then folders with long files, so that several processes end at about the same moment."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files and folders as `LONGEST_FIRST` says, everything else as it is."""
    items.sort(key=lambda item: _find_rank(item.path.relative_to(TESTS)))


def _find_rank(file: Path) -> int:
    places = {file.as_posix(), *(folder.as_posix() for folder in file.parents)}
    return next((rank for rank, place in enumerate(LONGEST_FIRST) if place in places), len(LONGEST_FIRST))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A local stack for the whole run, on the Postgres TEST_POSTGRES names; empty but for seeded users."""
    # Not pytest's tmp_path: its names are too long for a unix socket.
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        serve = Serve(Path(folder), find_free_port(), environment=dict(UNLIMITED))
        try:
            yield serve.start()
        finally:
            serve.stop()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a moto, which stands for what of AWS it does faithfully."""
    from tests.fakes.aws.moto_server import run_moto

    with run_moto() as url:
        yield url


@pytest.fixture
def aws(moto: str) -> Iterator[FakeAws]:
    """An AWS of our own, which knows nothing yet."""
    from tests.fakes.aws.moto_server import reset_moto
    from tests.fakes.aws.server import FakeAws

    reset_moto(moto)
    with FakeAws(moto) as started:
        yield started


@pytest.fixture
def allow_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Outside calls may go to 127.0.0.0/8, where the fakes are, for as long as the test runs."""
    monkeypatch.setenv("OUTBOUND_ALLOW", "127.0.0.0/8")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def fake() -> Iterator[FakeGolioth]:
    """A Golioth of the test's own."""
    with FakeGolioth() as golioth:
        yield golioth


@pytest.fixture
def new_serve() -> Iterator[Callable[..., Serve]]:
    """Makes runs of scripts/serve on folders of their own; what still runs after the test is stopped."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        made: list[Serve] = []

        def make(*arguments: str, **environment: str) -> Serve:
            place = Path(folder) / str(len(made))
            place.mkdir()
            made.append(Serve(place, find_free_port(), list(arguments), environment))
            return made[-1]

        yield make
        for serve in made:
            if serve.running:
                serve.stop()


@pytest.fixture(scope="session")
def node_modules() -> Iterator[Path]:
    """A folder with supabase-js and the Supabase CLI as they are published."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node and npm are not installed")
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder]
        subprocess.run([*install, *NODE_PACKAGES], check=True, timeout=300)
        yield Path(folder) / "node_modules"


@pytest.fixture
def start_worker(stack: Stack) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts workers on the stack; those still running at the end are killed."""
    environment = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "shared.scheduler.worker"]
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **environment},
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it makes one system call
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
