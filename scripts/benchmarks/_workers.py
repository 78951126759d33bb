"""Workers as processes of their own, with what they cost; read from /proc, so on Linux only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks._costs import read_cpu_seconds
from scripts.local.stack import ROOT, Report

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker."""

    process: subprocess.Popen[bytes]

    @property
    def memory_mb(self) -> float:
        """Its resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * PAGE_BYTES / 1_048_576

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return read_cpu_seconds(self.process.pid)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """It stands still meanwhile: for less than its leases last."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def start_worker(report: Report) -> Iterator[Worker]:
    """scripts/worker on that stack, ended by SIGTERM."""
    environment = {
        **os.environ,
        "SUPABASE_URL": report.url,
        "SUPABASE_ANON_KEY": report.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": report.service_role_key,
        "SUPABASE_JWT_SECRET": report.jwt_secret,
        "OUTBOUND_ALLOW": "127.0.0.0/8",
    }
    argv = [sys.executable, "-m", "shared.scheduler.worker"]
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield Worker(process)
    finally:
        process.terminate()
        process.wait(60)
