"""Senders as Golioth's pipelines are, in a process of their own: kept connections, each post until it is accepted.

Written on bare sockets, so that what is measured is not the sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson

LONGEST_PAUSE = 1.0
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to post: `count` messages over `connections`, to `paths` in turns; ids begin with `run`."""

    url: str
    paths: list[str]
    secret: str
    project_id: str
    run: str
    count: int
    connections: int
    devices: int = 100
    expected: int = HTTPStatus.ACCEPTED
    """The status that counts as accepted."""


@dataclass(slots=True)
class Tally:
    """How it went: seconds, and milliseconds of an accepted post; `again` counts what had to be posted another time."""

    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    accepted: int = 0
    again: int = 0
    taken: list[float] = field(default_factory=list)


def post_all(task: Task) -> Tally:
    """Posts everything, in another process; returns when all is accepted. RuntimeError where that takes too long."""
    return finish_posting(begin_posting(task))


def begin_posting(task: Task) -> subprocess.Popen[bytes]:
    """Posting that has begun."""
    argv = [sys.executable, "-m", __name__, json.dumps(asdict(task))]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def finish_posting(process: subprocess.Popen[bytes]) -> Tally:
    """How the posting went, once it has ended."""
    told, _ = process.communicate(timeout=2 * GIVE_UP_SECONDS)
    if process.returncode:
        raise RuntimeError("The senders gave up.")
    return Tally(**orjson.loads(told))


async def _run(task: Task) -> Tally:
    tally, numbers = Tally(), iter(range(task.count))
    begun = time.perf_counter()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        await asyncio.gather(*(_keep_posting(task, numbers, tally) for _ in range(task.connections)))
    tally.seconds = time.perf_counter() - begun
    cuts = statistics.quantiles(tally.taken, n=100)
    tally.p50_ms, tally.p99_ms, tally.taken = cuts[49] * 1000, cuts[98] * 1000, []
    return tally


async def _keep_posting(task: Task, numbers: Iterator[int], tally: Tally) -> None:
    """One connection, which posts numbers as long as there are any."""
    sender = _Sender(task)
    for number in numbers:
        begun = time.perf_counter()
        while not await sender.post(number):
            tally.again += 1
        tally.taken.append(time.perf_counter() - begun)
        tally.accepted += 1
    sender.close()


class _Sender:
    def __init__(self, task: Task) -> None:
        self._task = task
        address = urlsplit(task.url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, number: int) -> bool:
        """Whether the post was accepted; after a pause where it was not."""
        pause = LONGEST_PAUSE
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            status, head = await self._exchange(self._write_request(number))
            if status == self._task.expected:
                return True
            if status not in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
                raise RuntimeError(f"A post was answered {status}.")
            pause = min(pause, float(_find_header(head, b"retry-after") or 1))
        self.close()
        await asyncio.sleep(pause)
        return False

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(_find_header(head, b"content-length") or 0))
        return int(head[9:12]), head

    def _write_request(self, number: int) -> bytes:
        task, device = self._task, f"device-{number % self._task.devices}"
        body = orjson.dumps(
            {"temperature": 20 + number % 500 / 100, "humidity": 48.2, "battery": 3.61, "uptime": 86_400}
        )
        head = (
            f"POST {task.paths[number % len(task.paths)]} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"X-Webhook-Secret: {task.secret}\r\nCe-Id: {task.run}-{number}\r\nCe-Source: {device}\r\n"
            f"Ce-Subject: {task.project_id}\r\nCe-Type: io.golioth.data.v1/.s/sensor\r\n"
            f"Ce-Time: {datetime.now(UTC).isoformat()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _find_header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


if __name__ == "__main__":
    done = asyncio.run(_run(Task(**json.loads(sys.argv[1]))))
    sys.stdout.buffer.write(orjson.dumps(asdict(done)))
