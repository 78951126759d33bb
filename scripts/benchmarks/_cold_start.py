"""Starts one function the way it is deployed, by functions-framework, and measures its first answer and its memory."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks._caller import Caller
from scripts.local.ports import find_free_port
from scripts.local.stack import ROOT, Report

GIVE_UP_SECONDS = 30.0
CALLS = 200
"""Calls that are answered before the memory of a start is read, so that nothing is left to load."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds from process start to the first answer, and MB of all its processes, what they share counted once."""

    seconds: float
    megabytes: float


def start_function(report: Report, headers: dict[str, str], calls: int) -> ColdStart:
    """One start of `integrations`, ended again after so many calls."""
    port = find_free_port()
    argv = [
        str(Path(sys.executable).with_name("functions-framework")),
        "--source",
        "functions/integrations.py",
    ]
    argv += ["--target", "integrations", "--host", "127.0.0.1", "--port", str(port)]
    begun = time.perf_counter()
    process = subprocess.Popen(argv, cwd=ROOT, env=_make_environment(report), stderr=subprocess.DEVNULL)
    try:
        _wait_for_answer(port, headers, begun + GIVE_UP_SECONDS)
        seconds = time.perf_counter() - begun
        caller = Caller(f"http://127.0.0.1:{port}", headers)
        for _ in range(calls):
            caller.call("GET", "/")
        return ColdStart(seconds, _read_memory(process.pid) / 1e6)
    finally:
        process.terminate()
        process.wait(30)


def _make_environment(report: Report) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "SUPABASE_URL": report.url,
        "SUPABASE_ANON_KEY": report.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": report.service_role_key,
        "SUPABASE_JWT_SECRET": report.jwt_secret,
    }


def _wait_for_answer(port: int, headers: dict[str, str], deadline: float) -> None:
    while True:
        try:
            Caller(f"http://127.0.0.1:{port}", headers).call("GET", "/")
        except (ConnectionError, http.client.HTTPException):
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.002)
        else:
            return


def _read_memory(process_id: int) -> float:
    """Bytes: the largest process whole, of the others what is theirs alone (a forked worker shares the rest)."""
    parts = [_read_rollup(number) for number in (process_id, *_list_children(process_id))]
    parts.sort(key=lambda part: part["Rss"])
    return 1024 * (
        parts[-1]["Rss"] + sum(part["Private_Clean"] + part["Private_Dirty"] for part in parts[:-1])
    )


def _read_rollup(process_id: int) -> dict[str, int]:
    """The kB of the process by kind, as Linux counts them."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(size) for name, size, *_ in map(str.split, lines)}


def _list_children(process_id: int) -> list[int]:
    text = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(number) for number in text.split()]
