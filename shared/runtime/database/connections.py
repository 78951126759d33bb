"""Kept HTTP connections to the project, for the database and for the signing keys.

A call to the database is most of what a function does, and httpx spent more time on one than the database
(docs/decisions.md). So this is no more than a function needs: a socket, a request, and llhttp, which uvicorn and Node
parse with, for the answer. A connection serves one call at a time and is kept for the next, unless it has been idle for
long or the other side has closed it. No call is repeated: whether one that broke was carried out, nobody here can know.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

import httptools

from shared.runtime.deadline import Deadline

KEPT = 40
KEPT_SECONDS = 30.0
"""Less than servers, and what is between, allow an idle connection: it is to be we who end it."""

CALL_SECONDS = 30.0
"""From looking up the name to the last byte of the answer."""

ANSWER_LIMIT = 64 * 1_048_576
READ_BYTES = 262_144
FAILURES = (OSError, httptools.HttpParserError)
"""What a call raises when there is no whole answer to it in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, whatever its status."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful


class Connections:
    """Connections to one origin, shared by the threads of a process; none is open before the first call."""

    def __init__(self, url: str, *, call_seconds: float = CALL_SECONDS) -> None:
        self._address = urlsplit(url)
        self._call_seconds = call_seconds
        self._idle: deque[tuple[float, socket.socket]] = deque()

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request, `path` below the URL's own; FAILURES where no answer comes. Redirects are not followed."""
        request = self._write_head(method, path, headers or {}, len(body)) + body
        deadline = Deadline(self._call_seconds)
        connection = self._take() or self._open(deadline)
        try:
            connection.settimeout(_wait_at_most(deadline))
            connection.sendall(request)
            reader = _Reader()
            while not reader.done:
                connection.settimeout(_wait_at_most(deadline))
                reader.read(connection.recv(READ_BYTES))
        except BaseException:
            connection.close()
            raise
        self._keep(connection, reader)
        return Answer(reader.status, b"".join(reader.chunks))

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()

    def _write_head(self, method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"{method} {self._address.path}{path} HTTP/1.1", f"Host: {self._address.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in the head of a request")
        lines += [f"Content-Length: {length}"] if length else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _take(self) -> socket.socket | None:
        while True:
            try:
                kept_at, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - kept_at < KEPT_SECONDS and not _is_readable(connection):
                return connection
            connection.close()

    def _open(self, deadline: Deadline) -> socket.socket:
        host, secure = self._address.hostname or "", self._address.scheme == "https"
        port = self._address.port or (443 if secure else 80)
        connection = socket.create_connection((host, port), _wait_at_most(deadline))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._trust.wrap_socket(connection, server_hostname=host) if secure else connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _keep(self, connection: socket.socket, reader: _Reader) -> None:
        if reader.may_follow and len(self._idle) < KEPT:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()


@dataclass
class _Reader:
    """Reads one answer, whose end its length or its last chunk tells; the parser calls the `on_` methods."""

    chunks: list[bytes] = field(default_factory=list)
    done: bool = False
    may_follow: bool = False
    status: int = 0
    _size: int = 0

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    def read(self, data: bytes) -> None:
        """Takes what came; ConnectionError where it ends too soon or never does."""
        self._size += len(data)
        if not data or self._size > ANSWER_LIMIT:
            raise ConnectionError("the answer broke off" if not data else "the answer is too large")
        self._parser.feed_data(data)
        if self.done:
            del self._parser  # which holds us: together they would stay until the garbage is collected

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.chunks.append(data)

    def on_message_complete(self) -> None:
        """The end of the answer, or of an interim one, which another follows."""
        self.status = self._parser.get_status_code()
        self.done = self.status >= 200  # noqa: PLR2004 - below are interim answers
        self.may_follow = self._parser.should_keep_alive()


def _wait_at_most(deadline: Deadline) -> float:
    if deadline.expired:
        raise TimeoutError("no answer in time")
    return deadline.remaining()


def _is_readable(connection: socket.socket) -> bool:
    """Nothing is owed to us between calls: a connection with something to read has been closed, or is out of step."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(0))
