"""Connections of the event loop's server: kept, in order, and bounded before there is a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from uvicorn import Config, Server

from shared.runtime.web import async_worker
from shared.runtime.web.async_worker import HEAD_LIMIT, AsyncWorker
from tests.connection import BareConnection
from tests.ports import find_free_port
from tests.waiting import wait_until

KEPT_SECONDS = 30


async def answer_path(scope: Any, receive: Any, send: Any) -> None:
    """The path, once the body is there; of /early before."""
    while scope["path"] != "/early":
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        if not event["more_body"]:
            break
    body = scope["path"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Connection(BareConnection):
    """A bare one, on which answers are read."""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, *paths: str) -> None:
        self.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))

    def read(self) -> tuple[int, str]:
        """Status and body; (0, "") once the other side has ended it."""
        try:
            status = self._reader.readline()
            if not status:
                return 0, ""
            head = dict(line.split(b": ", 1) for line in iter(self._reader.readline, b"\r\n"))
            return int(status.split()[1]), self._reader.read(int(head[b"content-length"])).decode()
        except ConnectionResetError:
            return 0, ""


@pytest.fixture
def connect() -> Iterator[Callable[[], Connection]]:
    """Connects to a server of its own."""
    port = find_free_port()
    options = AsyncWorker.CONFIG_KWARGS | {"timeout_keep_alive": KEPT_SECONDS}
    server = Server(Config(answer_path, port=port, log_level="critical", **options))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    wait_until(lambda: server.started, "it does not start", 0.01)
    with ExitStack() as opened:
        yield lambda: opened.enter_context(Connection(port))
    server.should_exit = True
    thread.join()


def test_requests_on_a_kept_connection_are_answered_in_order(connect: Callable[[], Connection]) -> None:
    connection, paths = connect(), [f"/{number}" for number in range(50)]

    connection.ask(*paths)
    answers = [connection.read() for _ in paths]
    connection.ask("/later")

    assert answers == [(200, path) for path in paths]
    assert connection.read() == (200, "/later")


def test_a_head_that_comes_in_pieces_is_answered(connect: Callable[[], Connection]) -> None:
    connection = connect()

    for piece in (b"GET /pie", b"ces HTTP/1.1\r\nHos", b"t: localhost\r\n\r", b"\n"):
        connection.send(piece)

    assert connection.read() == (200, "/pieces")


def test_a_head_without_an_end_is_refused(connect: Callable[[], Connection]) -> None:
    connection, other = connect(), connect()

    connection.send(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * HEAD_LIMIT))
    other.ask("/other")

    assert connection.read()[0] == 400
    assert connection.read() == (0, "")
    assert other.read() == (200, "/other")


@pytest.mark.parametrize(
    "part",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"GET /early HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n",
    ],
)
def test_a_request_that_never_is_all_there_ends_its_connection(
    connect: Callable[[], Connection], part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_worker, "REQUEST_SECONDS", 0.2)
    connection, other = connect(), connect()
    other.ask("/one")
    assert other.read() == (200, "/one")

    connection.send(part)
    while connection.read() != (0, ""):
        pass

    other.ask("/two")
    assert other.read() == (200, "/two")


def test_a_body_that_goes_on_after_its_answer_ends_its_connection(
    connect: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_worker, "REQUEST_SECONDS", 0.2)
    connection = connect()

    connection.send(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")

    assert connection.read() == (200, "/early")
    assert connection.read() == (0, "")


def test_whoever_comes_when_there_are_too_many_takes_the_place_of_one_that_is_idle(
    connect: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_worker, "MOST_CONNECTIONS", 2)
    idle, busy = connect(), connect()
    idle.ask("/idle")
    assert idle.read() == (200, "/idle")
    busy.send(b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")

    newcomer = connect()
    newcomer.ask("/new")

    assert newcomer.read() == (200, "/new")
    assert idle.read() == (0, "")
    busy.send(b"lf")
    assert busy.read() == (200, "/busy")
