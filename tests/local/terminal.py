"""A program in a terminal of 80 columns, as a newcomer runs it: what it shows, and Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from scripts.local.processes import die_with_parent
from scripts.local.stack import ROOT

COLUMNS, LINES = 80, 40
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE_SECONDS = 120.0


class Terminal:
    """Use it in a `with`; what still runs at its end is stopped."""

    def __init__(
        self, argv: Sequence[str | Path], cwd: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        die = die_with_parent(signal.SIGTERM)

        def prepare() -> None:
            # Its controlling terminal is this one: Ctrl-C goes to all programs that it runs in front.
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            # A shell's background job ignores Ctrl-C, and so would all that it starts.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if die:
                die()

        self.process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=prepare,  # noqa: PLW1509 - it makes a few system calls
        )
        os.close(slave)
        self._seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Everything shown so far, without colours and cursor movements."""
        return CONTROL.sub("", self._seen.decode(errors="replace")).replace("\r\n", "\n")

    def press_control_c(self) -> None:
        """As a person does."""
        os.write(self._master, b"\x03")

    def wait_for(self, shown: str) -> None:
        """Until it shows this; AssertionError with everything when it ends before or takes too long."""
        self._read_until(lambda: shown in self.text)
        assert shown in self.text, self.text

    def wait(self) -> int:
        """Until it ends; its exit code, negative for a signal."""
        self._read_until(lambda: self.process.poll() is not None)
        assert self.process.poll() is not None, f"it does not end:\n{self.text}"
        return int(self.process.returncode)

    def _read_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done() and time.monotonic() < deadline:
            if not self._read_some() and self.process.poll() is not None:
                return

    def _read_some(self) -> bool:
        if not select.select([self._master], [], [], 0.05)[0]:
            return False
        try:
            content = os.read(self._master, 65536)
        except OSError:
            # Nobody is left at the other end.
            self.process.wait(PATIENCE_SECONDS)
            return False
        self._seen += content
        return bool(content)
