"""Deno, and what stands in for Supabase's platform around Edge Functions."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.local.processes import die_with_parent
from scripts.local.stack import ROOT

DENO = "deno@2.9.6"
PLATFORM = Path(__file__).with_name("platform.ts")
EDGE_FUNCTIONS = ROOT / "supabase" / "functions"


@pytest.fixture(scope="session")
def deno() -> Iterator[Path]:
    """Deno as it is published on npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node and npm are not installed")
    with tempfile.TemporaryDirectory(prefix="deno-") as folder:
        install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder]
        subprocess.run([*install, DENO], check=True, timeout=300)
        yield Path(folder) / "node_modules" / ".bin" / "deno"


@pytest.fixture(scope="session")
def start_edge(deno: Path) -> Iterator[Callable[[str, str], str]]:
    """Starts the Edge Functions in front of a project, with their secret; the URL a frontend would use."""
    with contextlib.ExitStack() as started:
        yield lambda project, address: started.enter_context(_run_edge(deno, project, address))


@contextlib.contextmanager
def _run_edge(deno: Path, project: str, address: str) -> Iterator[str]:
    allowed = ["--allow-net", f"--allow-read={EDGE_FUNCTIONS}", "--allow-env=DEVICE_INTEGRATIONS_URL"]
    process = subprocess.Popen(
        [deno, "run", "--no-remote", "--no-config", *allowed, PLATFORM, EDGE_FUNCTIONS, project],
        env={**os.environ, "DEVICE_INTEGRATIONS_URL": address, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it makes one system call
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()
