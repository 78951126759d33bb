"""The local stack of one demo: a process of its own, on a folder that goes when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from scripts.local.processes import die_with_parent
from scripts.local.stopping import hear_stop

START_SECONDS = 90.0


@contextmanager
def run_stack(folder: Path, port: int) -> Iterator[dict[str, Any]]:
    """What its ready file says; SystemExit where it does not start, after its own words."""
    ready = folder / "ready.json"
    argv = ["--port", str(port), "--data", str(folder / "data"), "--ready-file", str(ready), "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.local", *argv],
        stdout=subprocess.DEVNULL,
        # Ctrl-C at the terminal reaches us alone, and we stop it; where we are killed, it stops by itself.
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - it makes one system call
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The local stack did not start; see the message above.")
            time.sleep(0.05)
        yield orjson.loads(ready.read_bytes())
    finally:
        hear_stop()
        process.terminate()
        process.wait(60)
