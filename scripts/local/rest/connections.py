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
from psycopg.pq import TransactionStatus

from scripts.local.rest.errors import RestError
from scripts.local.rest.pipeline import Connection, Pipeline

SIZE = 16
WAIT_SECONDS = 10.0
CONNECT_SECONDS = 5


class ConnectionPool:
    """At most SIZE connections of this process; none before the first is asked for, so it may be made before a fork."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._idle: list[Pipeline] = []
        self._places = threading.BoundedSemaphore(SIZE)
        self._process = os.getpid()

    @contextmanager
    def borrow(self) -> Iterator[Pipeline]:
        """A connection outside of any transaction; one that is left broken or inside of one is not kept."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise RestError(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        try:
            pipeline = self._take()
            try:
                yield pipeline
            finally:
                self._give_back(pipeline)
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes the idle connections; the next borrower opens new ones."""
        while self._idle:
            self._idle.pop().connection.close()

    def _take(self) -> Pipeline:
        if self._process != os.getpid():
            self._idle, self._process = [], os.getpid()
        while True:
            try:
                pipeline = self._idle.pop()
            except IndexError:
                return self._open()
            if _is_alive(pipeline.connection):
                return pipeline
            pipeline.connection.close()

    def _open(self) -> Pipeline:
        try:
            connection = psycopg.connect(
                self._database_url,
                autocommit=True,
                # Pipeline prepares for itself, and deallocates all at once.
                prepare_threshold=None,
                connect_timeout=CONNECT_SECONDS,
            )
        except psycopg.OperationalError as error:
            raise RestError(
                503,
                "PGRST000",
                "Database connection error. Retrying the connection.",
                details=str(error).strip(),
            ).with_headers({"Retry-After": "1"}) from error
        return Pipeline(connection)

    def _give_back(self, pipeline: Pipeline) -> None:
        connection = pipeline.connection
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(pipeline)
        else:
            connection.close()


def _is_alive(connection: Connection) -> bool:
    """Nothing is owed to us between requests: a socket with something to read has been closed by the server."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return not poller.poll(0)
