"""Kept HTTP connections to the project, for the database and for the signing keys: the standard library's, pooled.

A call through httpx took two to three times as long as one through these (docs/decisions.md). A connection serves one
call at a time and is kept for the next; one that has been idle for long, or that the other side has closed, is not used
again. Calls are not repeated: whether one that broke was carried out, nobody here can know.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

KEPT = 40
KEPT_SECONDS = 30.0
"""Below what servers and the networks between allow an idle connection, so that it is never we who find it gone."""

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
FAILURES = (OSError, HTTPException)
"""What a call raises when there is no answer to it: no connection, a broken one, silence for too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, whatever its status."""

    status: int
    reason: str
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful


class Connections:
    """Connections to one origin, shared by the threads of a process; none is open before the first call."""

    def __init__(self, url: str, *, read_seconds: float = READ_SECONDS) -> None:
        self._address = urlsplit(url)
        self._read_seconds = read_seconds
        self._idle: deque[tuple[float, HTTPConnection]] = deque()

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request, `path` below the URL's own; FAILURES where no answer comes. Redirects are not followed."""
        connection = self._take() or self._open()
        try:
            connection.request(method, self._address.path + path, body, headers or {})
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.reason, reply.read())
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()

    def _take(self) -> HTTPConnection | None:
        while True:
            try:
                kept_at, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - kept_at < KEPT_SECONDS and not _is_readable(connection):
                return connection
            connection.close()

    def _open(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        connection = (
            HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
            if self._address.scheme == "https"
            else HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        )
        connection.connect()
        connection.sock.settimeout(self._read_seconds)
        return connection

    def _keep(self, connection: HTTPConnection) -> None:
        # http.client has closed it where the answer asked for that.
        if connection.sock is not None and len(self._idle) < KEPT:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()


def _is_readable(connection: HTTPConnection) -> bool:
    """Nothing is owed to us between calls: a connection with something to read has been closed, or is out of step."""
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))
