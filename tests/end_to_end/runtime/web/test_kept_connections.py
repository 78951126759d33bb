"""Connections that are kept, at a function as the image serves it: more of them than threads, pauses, pipelines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from shared.runtime.web.kept_connections import STAY_SECONDS
from tests.connection import BareConnection
from tests.end_to_end.runtime.web.conftest import Server

ASKED = b"GET /commands/nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %s\r\n\r\n"
THREADS = 3


@pytest.fixture
def port(start: Callable[..., Server]) -> int:
    server = start("commands", THREADS=str(THREADS))
    server.wait_until_up()
    return server.port


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], Connection]]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(Connection(port))


class Connection(BareConnection):
    """A bare connection, on which answers are read by their ids."""

    def send(self, *ids: bytes) -> None:
        self._socket.sendall(b"".join(ASKED % each for each in ids))

    def read_id(self) -> bytes:
        head = dict(line.split(b": ", 1) for line in iter(self._reader.readline, b"\r\n") if b": " in line)
        self._reader.read(int(head[b"Content-Length"]))
        return head[b"X-Request-Id"].strip()


def test_more_connections_than_threads_are_all_answered_again_and_again(
    connect: Callable[[], Connection],
) -> None:
    connections = [connect() for _ in range(4 * THREADS)]

    for number in range(10):
        ids = [b"%d-%d" % (number, place) for place in range(len(connections))]
        for connection, name in zip(connections, ids, strict=True):
            connection.send(name)
        assert [connection.read_id() for connection in connections] == ids


def test_whoever_comes_while_threads_stay_with_others_is_answered(connect: Callable[[], Connection]) -> None:
    staying = [connect() for _ in range(THREADS)]
    for number, connection in enumerate(staying):
        connection.send(b"%d" % number)
    assert [connection.read_id() for connection in staying] == [b"0", b"1", b"2"]

    newcomer = connect()
    newcomer.send(b"new")

    assert newcomer.read_id() == b"new"


def test_a_connection_that_pauses_goes_on(connect: Callable[[], Connection]) -> None:
    connection = connect()

    for name in (b"before", b"after"):
        connection.send(name)
        assert connection.read_id() == name
        time.sleep(4 * STAY_SECONDS)


def test_requests_sent_at_once_are_answered_in_order(connect: Callable[[], Connection]) -> None:
    connection, ids = connect(), [b"%d" % number for number in range(50)]

    connection.send(*ids)

    assert [connection.read_id() for _ in ids] == ids
