"""Moto's server as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.plain import PLAIN
from tests.ports import find_free_port
from tests.waiting import wait_until


@contextmanager
def run_moto() -> Iterator[str]:
    """Its address, for as long as the block runs."""
    port = find_free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(url), "moto does not answer", 0.1)
            yield url
        finally:
            process.terminate()


def reset_moto(url: str) -> None:
    """It knows nothing any more."""
    httpx.post(f"{url}/moto-api/reset", timeout=60, verify=PLAIN).raise_for_status()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/moto-api/data.json", timeout=10, verify=PLAIN).status_code == 200
    except httpx.HTTPError:
        return False
