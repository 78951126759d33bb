"""One function by itself, served as the image serves it, beside a stack that has all else."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.local.data_folder import make_integration_keys
from scripts.local.ports import find_free_port
from scripts.local.stack import ROOT, Report

GIVE_UP_SECONDS = 30.0
KEYS = "INTEGRATION_KEYS"


def share_keys() -> None:
    """Have the stack that is begun next, and the functions beside it, open what either seals."""
    os.environ.setdefault(KEYS, make_integration_keys())


@contextmanager
def serve_function(report: Report, target: str) -> Iterator[str]:
    """The address of the function of that name, until the end of the block."""
    port = find_free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "THREADS": "64",
        "FUNCTION_SOURCE": f"functions/{target}.py",
        "FUNCTION_TARGET": target,
        "SUPABASE_URL": report.url,
        "SUPABASE_SERVICE_ROLE_KEY": report.service_role_key,
    }
    argv = [sys.executable, "-m", "shared.runtime.web.server"]
    process = subprocess.Popen(argv, cwd=ROOT, env=os.environ | environment, stderr=subprocess.DEVNULL)
    try:
        _wait_until_healthy(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not _is_healthy(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("The function did not start.")
        time.sleep(0.02)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
