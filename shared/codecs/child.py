"""One child process: started with nothing of ours but two pipes, asked, and killed."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson

from shared.codecs.frames import PipeBrokenError, PipeSilentError, read_frame, write_frame
from shared.codecs.limits import (
    BATCH_SECONDS,
    ITEM_SECONDS,
    LOW_PRIORITY,
    PROGRAMS,
    SILENT_SECONDS,
    START_SECONDS,
    SWOLLEN_BYTES,
)
from shared.codecs.recent import Recent

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
END_SECONDS = 1.0
ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from shared.codecs.sandbox.main import main; main(sys.argv[2])"


class ChildLostError(Exception):
    """The child gave no answer in time, ended, or answered nonsense; it is not to be used again."""


class ChildKilledError(ChildLostError):
    """Somebody else has killed it: whatever it was working on is not to blame."""


class Child:
    """A running child for one engine, `javascript` or `formats`. Used by one thread at a time.

    Errors: ChildLostError, after which only `close` may be called.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.idle_since = time.monotonic()
        self.is_spent = False
        """Whether it is to be replaced: it used much memory, has low priority, or its last answer was not read."""
        self._is_low = False
        self._known: Recent[None] = Recent(PROGRAMS)
        # -I and an empty environment: nothing of this process reaches the child. It limits itself before it answers.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, ROOT, engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._stdin, self._stdout = _open(self._process.stdin), _open(self._process.stdout)
        os.set_blocking(self._stdin, False)

    def wait_until_ready(self) -> None:
        """Wait until it has started and limited itself."""
        self._read(START_SECONDS)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def knows(self, key: str) -> bool:
        """Whether the source of that key was sent already and is kept."""
        return key in self._known

    def ask(
        self, key: str, source: Mapping[str, str], request: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Send one request and yield the answers as they come, until the one that is the last."""
        seconds = ITEM_SECONDS if request["careful"] else BATCH_SECONDS
        self.is_spent = True
        known = self.knows(key)
        self._known.put(key, None)
        self._write(orjson.dumps({"key": key, **({} if known else source), **request}))
        done = False
        while not done:
            self._mind_silence()
            answer = self._read(seconds)
            done = bool(answer.get("done"))
            if done:
                self._finish(answer)
            yield answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()

    def _finish(self, answer: dict[str, Any]) -> None:
        told = answer.get("peak")
        self.is_spent = (
            self._is_low
            or not isinstance(told, int)
            or (told > SWOLLEN_BYTES and self._read_peak(told) > SWOLLEN_BYTES)
        )
        self.idle_since = time.monotonic()

    def _mind_silence(self) -> None:
        """Who does not answer soon most likely hangs, and is not to have the processor that others need meanwhile."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        if not poll.poll(SILENT_SECONDS * 1000):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.pid, LOW_PRIORITY)
            self._is_low = True

    def _read_peak(self, told: int) -> int:
        # Where there is /proc: what the child says of itself counts the memory of this process as well.
        with suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
        return told

    def _write(self, content: bytes) -> None:
        try:
            write_frame(self._stdin, content, time.monotonic() + ITEM_SECONDS)
        except PipeSilentError as error:
            raise ChildLostError(str(error)) from None
        except PipeBrokenError as error:
            raise self._explain_end(str(error)) from None

    def _read(self, seconds: float) -> dict[str, Any]:
        try:
            content = read_frame(self._stdout, time.monotonic() + seconds)
            answer = orjson.loads(content)
        except (PipeSilentError, orjson.JSONDecodeError) as error:
            raise ChildLostError(str(error)) from None
        except PipeBrokenError as error:
            raise self._explain_end(str(error)) from None
        if not isinstance(answer, dict) or (b"\\u0000" in content and _NUL.search(content)):
            raise ChildLostError("The child's answer is no object that can be stored.")
        return answer

    def _explain_end(self, words: str) -> ChildLostError:
        # Its own limits end it by other signals, or not at all: this one comes from an operator or the kernel.
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(END_SECONDS) == -signal.SIGKILL:
                return ChildKilledError("The child was killed.")
        return ChildLostError(words)


def _open(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ChildLostError("The child has no pipes.")
    return pipe.fileno()
