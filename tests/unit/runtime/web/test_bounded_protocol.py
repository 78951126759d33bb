"""Connections of the event loop's server: kept, in order, and bounded before there is a request."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from uvicorn import Config, Server

from shared.runtime.web import bounded_protocol
from shared.runtime.web.async_worker import AsyncWorker
from shared.runtime.web.bounded_protocol import HEAD_FIELDS, HEAD_LIMIT
from tests.connection import BareConnection
from tests.ports import find_free_port
from tests.waiting import wait_until

KEPT_SECONDS = 30
LARGE = 16_777_216
"""More than the system keeps of what is not read."""


async def answer_path(going_on: threading.Event, scope: Any, receive: Any, send: Any) -> None:
    """The path, once the body is there; of /early before, of /held when told; of others the body, headers, or much."""
    came = b""
    while scope["path"] != "/early":
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        came += event["body"]
        if not event["more_body"]:
            break
    if scope["path"] == "/held":
        await asyncio.to_thread(going_on.wait, 10)
    names = b",".join(name for name, _ in scope["headers"])
    others = {"/echo": came, "/headers": names, "/large": b"x" * LARGE}
    body = others.get(scope["path"], scope["path"].encode())
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Connection(BareConnection):
    """A bare one, on which answers are read."""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self) -> None:
        """Send no more."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self._socket.close()

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
def servers() -> list[Server]:
    """That of the test, once it has one."""
    return []


@pytest.fixture
def going_on() -> Iterator[threading.Event]:
    """Lets what is asked of /held be answered."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def connect(servers: list[Server], going_on: threading.Event) -> Iterator[Callable[[], Connection]]:
    """Connects to a server of its own."""
    port = find_free_port()
    application = partial(answer_path, going_on)
    options = AsyncWorker.CONFIG_KWARGS | {"timeout_keep_alive": KEPT_SECONDS}
    server = Server(Config(application, port=port, log_level="critical", **options))
    servers.append(server)
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
    monkeypatch.setattr(bounded_protocol, "REQUEST_SECONDS", 0.2)
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
    monkeypatch.setattr(bounded_protocol, "REQUEST_SECONDS", 0.2)
    connection = connect()

    connection.send(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")

    assert connection.read() == (200, "/early")
    assert connection.read() == (0, "")


def test_whoever_comes_when_there_are_too_many_takes_the_place_of_one_that_is_idle(
    connect: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_protocol, "MOST_CONNECTIONS", 2)
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


@pytest.mark.parametrize(
    "part", [b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", b""]
)
def test_whoever_waits_for_longest_makes_room_though_none_is_idle(
    connect: Callable[[], Connection], part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_protocol, "MOST_CONNECTIONS", 3)
    busy, *slow = connect(), connect(), connect()
    busy.ask("/once")
    assert busy.read() == (200, "/once")
    for connection in slow:
        connection.send(part)
    # Twice, so that what the others have sent was read before.
    for _ in range(2):
        busy.ask("/again")
        assert busy.read() == (200, "/again")

    newcomers = [connect(), connect()]

    for connection in newcomers:
        connection.ask("/new")
    assert [connection.read() for connection in newcomers] == [(200, "/new")] * 2
    assert [connection.read() for connection in slow] == [(0, "")] * 2
    busy.ask("/still")
    assert busy.read() == (200, "/still")


def test_whoever_comes_last_is_not_served_where_all_others_are_being_answered(
    connect: Callable[[], Connection],
    servers: list[Server],
    going_on: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_protocol, "MOST_CONNECTIONS", 1)
    served = connect()
    served.ask("/held")
    wait_until(lambda: servers[0].server_state.tasks, "it is not begun")

    refused = connect()

    assert refused.read() == (0, "")
    going_on.set()
    assert served.read() == (200, "/held")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("way", ["at once", "in pieces"])
def test_a_request_that_asks_for_another_protocol_is_read_as_any_other(
    connect: Callable[[], Connection], protocol: bytes, way: str
) -> None:
    connection = connect()
    body, following = b"GET /smuggled HTTP/1.1\r\n\r\n", b"GET /next HTTP/1.1\r\n\r\n"
    fields = b"Connection: Upgrade\r\nUpgrade: %s\r\nContent-Length: %d" % (protocol, len(body))
    pieces = [b"POST /echo HTTP/1.1\r\n%s\r\n\r\n" % fields, body, following]

    for piece in [b"".join(pieces)] if way == "at once" else pieces:
        connection.send(piece)

    assert connection.read() == (200, body.decode())
    assert connection.read() == (200, "/next")


def test_a_tunnel_is_refused_and_nothing_that_was_to_pass_it_answered(
    connect: Callable[[], Connection],
) -> None:
    connection = connect()

    connection.send(b"CONNECT /tunnel HTTP/1.1\r\nHost: x\r\n\r\nGET /in HTTP/1.1\r\nHost: x\r\n\r\n")

    assert connection.read() == (200, "/tunnel")
    assert connection.read() == (0, "")


def test_what_follows_a_body_in_chunks_is_no_header(connect: Callable[[], Connection]) -> None:
    connection = connect()

    connection.send(
        b"POST /headers HTTP/1.1\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 2\r\n\r\n"
    )

    assert connection.read() == (200, "x-own,transfer-encoding")


def test_a_head_of_too_many_headers_is_refused(connect: Callable[[], Connection]) -> None:
    usual, large = connect(), connect()

    usual.send(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * HEAD_FIELDS + b"\r\n")
    large.send(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (HEAD_FIELDS + 1) + b"\r\n")

    assert usual.read()[0] == 200
    assert large.read()[0] == 400
    assert large.read() == (0, "")


@pytest.mark.parametrize("rest", [b"GET / HTTP/1.1\r\n\r\n", b"no request\r\n\r\n"])
def test_whoever_asks_for_too_much_at_once_is_answered_what_came_first(
    connect: Callable[[], Connection], rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_protocol, "PIPELINED", 3)
    connection = connect()

    connection.send(b"GET / HTTP/1.1\r\n\r\n" * 4 + rest)

    assert [connection.read() for _ in range(5)] == [(200, "/")] * 4 + [(0, "")]


def test_whoever_sends_no_more_may_still_read_the_answer(
    connect: Callable[[], Connection], going_on: threading.Event
) -> None:
    whole, half = connect(), connect()

    whole.send(b"POST /held HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
    half.send(b"POST /held HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
    for connection in (whole, half):
        connection.finish()
    going_on.set()

    assert whole.read() == (200, "/held")
    assert whole.read() == (0, "")
    assert half.read() == (0, "")


def test_whoever_reads_no_answers_is_given_up(
    connect: Callable[[], Connection], servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_protocol, "REQUEST_SECONDS", 0.2)
    connection = connect()

    connection.ask(*["/large"] * 20)

    wait_until(lambda: not servers[0].server_state.connections, "it is kept")
    assert servers[0].server_state.total_requests < 20


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_whoever_asks_nothing_is_not_waited_for_without_end(
    connect: Callable[[], Connection], servers: list[Server], sent: bytes
) -> None:
    servers[0].config.timeout_keep_alive = 0
    connection = connect()

    connection.send(sent)

    assert connection.read() == (0, "")


def test_nothing_is_left_of_a_connection_that_was_reset(
    connect: Callable[[], Connection], servers: list[Server]
) -> None:
    servers[0].config.timeout_keep_alive = 3_600
    connection = connect()
    wait_until(lambda: servers[0].server_state.connections, "it is not taken")
    (protocol,) = map(weakref.ref, servers[0].server_state.connections)

    connection.reset()

    def is_gone() -> bool:
        gc.collect()
        return protocol() is None

    wait_until(is_gone, "its time runs on")
