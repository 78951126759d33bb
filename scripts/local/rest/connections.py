"""A small pool of connections, opened by the thread that needs one.

psycopg_pool opens connections in the background, so with Postgres away a request learns of it only by a timeout, and
after a restart it hands out dead connections. Here both are known at once: connecting fails in the caller, and a
connection that the server has closed shows as readable before it is used.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from scripts.local.rest.binding import BytesLoader, RawJson, RawJsonb, RawJsonbDumper, RawJsonDumper
from scripts.local.rest.errors import RestError

Connection = psycopg.Connection[TupleRow]
SIZE = 16
WAIT_SECONDS = 10.0
CONNECT_SECONDS = 5


class ConnectionPool:
    """At most SIZE connections of this process; none before the first is asked for, so it may be made before a fork."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._idle: list[Connection] = []
        self._places = threading.BoundedSemaphore(SIZE)
        self._process = os.getpid()

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """A connection outside of any transaction; one that is left broken or inside of one is not kept."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise RestError(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes the idle connections; the next borrower opens new ones."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection:
        if self._process != os.getpid():
            self._idle, self._process = [], os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open()
            if _is_alive(connection):
                return connection
            connection.close()

    def _open(self) -> Connection:
        try:
            connection = psycopg.connect(
                self._database_url,
                autocommit=True,
                cursor_factory=RawCursor,
                connect_timeout=CONNECT_SECONDS,
            )
        except psycopg.OperationalError as error:
            raise RestError(
                503,
                "PGRST000",
                "Database connection error. Retrying the connection.",
                details=str(error).strip(),
            ).with_headers({"Retry-After": "1"}) from error
        connection.adapters.register_dumper(RawJson, RawJsonDumper)
        connection.adapters.register_dumper(RawJsonb, RawJsonbDumper)
        connection.adapters.register_loader("text", BytesLoader)
        return connection

    def _give_back(self, connection: Connection) -> None:
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()


def _is_alive(connection: Connection) -> bool:
    """Nothing is owed to us between requests: a socket with something to read has been closed by the server."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return not poller.poll(0)
