"""Child processes that never outlive the stack: started, watched, and stopped in reverse order."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>


class StackError(Exception):
    """The stack can't start or go on; the message says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The system user a child runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and how to ask it to stop."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None
    environment: Mapping[str, str] | None = None
    pass_fds: Sequence[int] = ()
    comes_back: bool = False
    """Whether it is started again when somebody has stopped it in an orderly way."""


@dataclass(slots=True)
class Child:
    """A running program."""

    program: Program
    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def stop(self, patience: float) -> None:
        """Asks it to stop, and makes it after `patience` seconds."""
        if self.running:
            self.process.send_signal(self.program.stop_signal)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def explain_end(self) -> str:
        """How it ended, with the last lines of its log."""
        code = self.process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = self.program.log.read_text(errors="replace").splitlines()[-40:]
        return "\n".join([f"{self.program.name} {how}. The end of its log, {self.program.log}:", *lines])


@dataclass(slots=True)
class Children:
    """All children, in the order they were started."""

    started: list[Child] = field(default_factory=list)

    def start(self, program: Program) -> Child:
        """Starts a program that dies with us, even when we are killed."""
        program.log.write_bytes(b"")
        child = _launch_program(program)
        self.started.append(child)
        return child

    def check(self) -> None:
        """Starts again what comes back; StackError naming a child that ended by itself."""
        for place, child in enumerate(self.started):
            if child.running:
                continue
            if not child.program.comes_back or child.process.returncode:
                raise StackError(child.explain_end())
            self.started[place] = _launch_program(child.program)

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Polls `ready` until it holds; StackError when a child ends before or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready after {seconds:.0f} seconds.")
            time.sleep(0.02)

    def stop_all(self, patience: float = 20.0) -> None:
        """Stops all, last started first."""
        while self.started:
            self.started.pop().stop(patience)


def _launch_program(program: Program) -> Child:
    with program.log.open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in program.argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program.environment,
            pass_fds=program.pass_fds,
            # Its own session: Ctrl-C at the terminal reaches us alone, and we stop the parts in order.
            start_new_session=True,
            preexec_fn=die_with_parent(program.stop_signal),  # noqa: PLW1509 - we are single-threaded
            **_account_options(program.account),
        )
    return Child(program, process)


def run_program(argv: Sequence[str | Path], account: Account | None = None) -> str:
    """Runs a program to its end and gives what it printed; StackError with that when it fails."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd="/",  # our own folder may be closed to the other account
        **_account_options(account),
    )
    if done.returncode:
        raise StackError(f"{Path(argv[0]).name} failed:\n{done.stdout.strip()}")
    return done.stdout


def _account_options(account: Account | None) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Asks the kernel to signal the child when we die. Elsewhere than on Linux the next start cleans up."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)

    return ask_kernel
