"""CPU time of the processes that a benchmark has started, by what they are; read from /proc, so on Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


PARTS = {
    b"shared.scheduler.worker": "worker",
    b"postgres:": "postgres",
    b"mosquitto.conf": "broker",
    b"benchmarks._endpoint": "endpoint",
    b"": "rest",
}


def read_costs() -> dict[str, float]:
    """CPU seconds so far of all that descends from this process: of workers, Postgres, brokers, and /rest/v1."""
    costs = dict.fromkeys(PARTS.values(), 0.0)
    for pid in _list_descendants(os.getpid()):
        costs[_name_part(pid)] += read_cpu_seconds(pid)
    return costs


def read_cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = _read_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _list_descendants(ancestor: int) -> Iterator[int]:
    parents = {int(entry.name): _read_parent(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
        yield from more


def _read_parent(pid: int) -> int:
    try:
        return int(_read_fields(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _read_fields(pid: int) -> list[str]:
    # The name, which may hold spaces, ends with the last bracket; the parent is field 4, the times are 14 and 15.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _name_part(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return next(part for words, part in PARTS.items() if words in command)
