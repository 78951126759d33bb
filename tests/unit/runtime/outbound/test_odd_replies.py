"""A reply whose status was read is judged by it, whatever is wrong with the rest: that is cut, and noted."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.runtime.errors import ProtocolFailed
from shared.runtime.outbound import OutboundClient, OutboundReply
from tests.fakes.http_exchange import LOOPBACK, exchange, make_request, send_with, wait_until
from tests.fakes.http_server import HttpServer, answer_bytes, answer_ok, answer_with, serve_http

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = b"Content-Length: 2\r\n\r\nok"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b"X-Long: " + b"x" * 8292 + b"\r\n"
CLOSED = "the connection was closed before its end"


def describe(reply: OutboundReply) -> tuple[int, bytes, bool, str | None]:
    return reply.status, reply.body, reply.truncated, reply.cut


ODD: dict[str, tuple[bytes, tuple[int, bytes, bool, str | None]]] = {
    "a header of 8,300 bytes": (
        OK + LONG + SIZED,
        (200, b"ok", False, "it has a header longer than 8190 bytes"),
    ),
    "140 headers, the length among the last": (
        OK + b"X-A: 1\r\n" * 139 + SIZED,
        (200, b"ok", False, "more than 128 headers came"),
    ),
    "140 headers, chunked among the last": (
        OK + b"X-A: 1\r\n" * 139 + CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        (200, b"ok", False, "more than 128 headers came"),
    ),
    "a 204 with a body": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        (204, b"", False, "more came after its end"),
    ),
    "a 204 with a body of no length": (
        b"HTTP/1.1 204 No Content\r\n\r\nhello",
        (204, b"", False, "more came after its end"),
    ),
    "a 204 with chunks": (
        b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        (204, b"", False, "more came after its end"),
    ),
    "a 304 with a body": (
        b"HTTP/1.1 304 Not Modified\r\n\r\nhello",
        (304, b"", False, "more came after its end"),
    ),
    "bytes after the body": (OK + SIZED + b"\r\nmore", (200, b"ok", False, "more came after its end")),
    "a second reply": (OK + SIZED + OK + SIZED, (200, b"ok", False, "more came after its end")),
    "bytes after the last chunk": (
        OK + CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore",
        (200, b"ok", False, "more came after its end"),
    ),
    "a body cut short": (OK + b"Content-Length: 10\r\n\r\nhello", (200, b"hello", True, CLOSED)),
    "no body where one is announced": (OK + b"Content-Length: 10\r\n\r\n", (200, b"", True, CLOSED)),
    "a chunk cut short": (OK + CHUNKED + b"5\r\nhel", (200, b"hel", True, CLOSED)),
    "no last chunk": (OK + CHUNKED + b"5\r\nhello\r\n", (200, b"hello", True, CLOSED)),
    "nothing after the last chunk's size": (OK + CHUNKED + b"2\r\nok\r\n0\r\n", (200, b"ok", False, CLOSED)),
    "a chunk without a length": (
        OK + CHUNKED + b"2\r\nok\r\nzz\r\nhello",
        (200, b"ok", True, "a chunk of its body has no length"),
    ),
    "a chunk with a negative length": (
        OK + CHUNKED + b"-1\r\nhello",
        (200, b"", True, "a chunk of its body has no length"),
    ),
    "a chunk with a length of 0x and a number": (
        OK + CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
        (200, b"", True, "a chunk of its body has no length"),
    ),
    "a chunk with a length beyond counting": (
        OK + CHUNKED + b"f" * 30 + b"\r\nhello",
        (200, b"", True, "a chunk of its body has no length"),
    ),
    "a chunk that goes on": (
        OK + CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
        (200, b"ok", True, "a chunk of its body is longer than it says"),
    ),
    "a chunk extension that never ends": (
        OK + CHUNKED + b"2;" + b"x" * 9000,
        (200, b"", True, "its body has a line longer than 8190 bytes where a chunk begins"),
    ),
    "200 trailers": (
        OK + CHUNKED + b"2\r\nok\r\n0\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n",
        (200, b"ok", False, "more than 128 trailers came"),
    ),
    "a Content-Length of letters": (
        OK + b"Content-Length: abc\r\n\r\nhello",
        (200, b"hello", True, "its Content-Length is not one number, so nobody knows where it ends"),
    ),
    "a negative Content-Length": (
        OK + b"Content-Length: -1\r\n\r\nhello",
        (200, b"hello", True, "its Content-Length is not one number, so nobody knows where it ends"),
    ),
    "a Content-Length of 5,000 digits": (
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
        (200, b"hello", True, "its Content-Length is not one number, so nobody knows where it ends"),
    ),
    "two lengths": (
        OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True, "its Content-Length is not one number, so nobody knows where it ends"),
    ),
    "a header without a colon": (
        OK + b"Bad Header\r\n" + SIZED,
        (200, b"ok", False, "it has a header without a name"),
    ),
    "a header with a space in its name": (
        OK + b"Bad Header: 1\r\n" + SIZED,
        (200, b"ok", False, "it has a header without a name"),
    ),
    "a header without a name": (
        OK + b": 1\r\n" + SIZED,
        (200, b"ok", False, "it has a header without a name"),
    ),
    "several things at once": (
        OK + b"Bad\r\n" + LONG + b"X-A: 1\r\n" * 130 + b"Content-Length: 9\r\n\r\nhello",
        (
            200,
            b"hello",
            True,
            "it has a header without a name; it has a header longer than 8190 bytes; more than 128 headers came; "
            + CLOSED,
        ),
    ),
    "nothing after the status": (b"HTTP/1.1 200 ", (200, b"", True, CLOSED)),
    "nothing after the status line": (b"HTTP/1.1 503 Away\r\n", (503, b"", True, CLOSED)),
    "headers that break off": (OK + b"X-Seen: yes\r\nX-Half: y", (200, b"", True, CLOSED)),
    "a reason of 300 KB": (
        b"HTTP/1.1 200 " + b"x" * 300_000 + b"\r\n" + SIZED,
        (200, b"", True, "its headers are longer than 262144 bytes"),
    ),
}
"""What comes, and what is made of it: status, body, whether the body is cut, and why what is cut."""

HARMLESS: dict[str, tuple[bytes, bytes]] = {
    "a header folded over two lines": (OK + b"X-A: 1,\r\n  2\r\n" + SIZED, b"ok"),
    "a length folded over two lines": (OK + b"Content-Length:\r\n 2\r\n\r\nok", b"ok"),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
    "line feeds alone between chunks": (
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        b"ok",
    ),
    "line ends of both kinds": (b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\nok", b"ok"),
    "a space before the colon": (OK + b"Content-Length : 2\r\n\r\nok", b"ok"),
    "no space behind the colon": (OK + b"Content-Length:2\r\n\r\nok", b"ok"),
    "the same length twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "the same length twice in a line": (OK + b"Content-Length: 2, 2\r\n\r\nok", b"ok"),
    "names and codings in capitals": (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "no coding by name": (OK + b"Transfer-Encoding: identity\r\n" + SIZED, b"ok"),
    "a header that is no UTF-8": (OK + b"X-A: \xff\xfe\r\n" + SIZED, b"ok"),
    "a header with control characters": (OK + b"X-A: \x00\x07\r1\r\n" + SIZED, b"ok"),
    "a header without a value": (OK + b"X-A:\r\nX-B: \r\n" + SIZED, b"ok"),
    "no headers": (OK + b"\r\nuntil the end", b"until the end"),
    "no reason": (b"HTTP/1.1 200\r\n" + SIZED, b"ok"),
    "a reason that is no ASCII": (b"HTTP/1.1 200 \xc3\xbcber\xff\r\n" + SIZED, b"ok"),
    "two spaces before the status": (b"HTTP/1.1  200  OK\r\n" + SIZED, b"ok"),
    "empty lines before the status": (b"\r\n\r\n" + OK + SIZED, b"ok"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\n" + SIZED, b"ok"),
    "another version": (b"HTTP/2.0 200 OK\r\n" + SIZED, b"ok"),
    "trailers": (OK + CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nBad Trailer\r\n\r\n", b"ok"),
    "chunk extensions": (OK + CHUNKED + b'2;a=b;c="d"\r\nok\r\n000\r\n\r\n', b"ok"),
    "chunks beside a length": (
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
    ),
    "a coding that is not asked for": (OK + b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nok", b"ok"),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nBad\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
        + LONG
        + b"\r\n"
        + OK
        + SIZED,
        b"ok",
    ),
}
"""What is read as it was meant: what comes, and its body."""


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_behind_the_status_is_cut_and_noted(name: str) -> None:
    sent, expected = ODD[name]

    reply, _ = exchange(answer_with(sent, then_close=True))

    assert describe(reply) == expected


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_unusual_is_read_as_it_was_meant(name: str) -> None:
    sent, body = HARMLESS[name]

    reply, _ = exchange(answer_with(sent, then_close=True))

    assert describe(reply) == (200, body, False, None)


@pytest.mark.parametrize("name", [*ODD, *HARMLESS])
def test_it_makes_no_difference_in_what_pieces_it_comes(name: str) -> None:
    sent = ODD[name][0] if name in ODD else HARMLESS[name][0]

    async def answer_in_pieces(writer: asyncio.StreamWriter) -> None:
        size = max(1, len(sent) // 40)
        for start in range(0, len(sent), size):
            await answer_bytes(writer, sent[start : start + size])
            await asyncio.sleep(0.001)
        writer.close()

    whole, _ = exchange(answer_with(sent, then_close=True))
    in_pieces, _ = exchange(answer_in_pieces)

    # Where nobody knows the end, what has come by then is all there is.
    assert in_pieces.status == whole.status
    assert whole.body.startswith(in_pieces.body)
    assert in_pieces.headers == whole.headers


@pytest.mark.parametrize("name", [name for name in ODD if "break" not in name])
def test_after_an_odd_reply_the_next_request_has_a_connection_of_its_own(name: str) -> None:
    sent, _ = ODD[name]

    async def scenario() -> tuple[list[int], HttpServer]:
        answers = iter((answer_with(sent, then_close=True), answer_ok, answer_ok))

        async def answer(writer: asyncio.StreamWriter) -> None:
            await next(answers)(writer)

        async with serve_http(answer) as server:
            async with OutboundClient(LOOPBACK) as client:
                replies = [await client.send(make_request(server.url)) for _ in range(3)]
            return [reply.status for reply in replies[1:]], server

    statuses, server = asyncio.run(scenario())

    assert (statuses, server.connections) == ([200, 200], 2)


def test_a_header_over_the_limit_is_cut_to_it_and_the_others_stay() -> None:
    reply, _ = exchange(answer_with(OK + b"X-A: 1\r\n" + LONG + b"X-B: 2\r\n" + SIZED))

    assert reply.headers["x-long"] == "x" * 8190
    assert (reply.headers["x-a"], reply.headers["x-b"]) == ("1", "2")


def test_the_headers_that_came_before_a_reply_broke_off_are_kept() -> None:
    reply, _ = exchange(answer_with(*ODD["headers that break off"][:1], then_close=True))

    assert dict(reply.headers) == {"X-Seen": "yes"}


def test_a_folded_header_is_one_value() -> None:
    reply, _ = exchange(answer_with(HARMLESS["a header folded over two lines"][0]))

    assert reply.headers["x-a"] == "1, 2"


@pytest.mark.parametrize("sent", [OK, OK + b"X-A: 1\r\n", OK + b"Content-Length: 5\r\n\r\nhe"])
def test_a_connection_reset_after_the_status_is_judged_by_it(sent: bytes) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        await answer_bytes(writer, sent)
        await asyncio.sleep(0.05)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    reply, _ = exchange(reset)

    assert (reply.status, reply.truncated, reply.cut) == (200, True, CLOSED)


def test_a_reset_ends_a_body_without_a_length_that_might_have_gone_on() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        await answer_bytes(writer, OK + b"\r\nhello")
        await asyncio.sleep(0.05)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    reply, _ = exchange(reset)

    assert describe(reply) == (200, b"hello", True, "the connection broke off before its end")


def send_to(handle: Callable[[socket.socket], None], **fields: Any) -> OutboundReply:
    """The reply of a server that does with its one connection what `handle` says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with listener.accept()[0] as connection:
                handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        reply = send_with(lambda: OutboundClient(LOOPBACK), make_request(url, **fields))
        thread.join()
        return reply


def test_a_reply_before_the_request_was_read_counts() -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    assert send_to(refuse, body=bytes(262_144)).status == 413


def test_what_a_server_says_before_it_is_asked_is_its_reply() -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 503 Full\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1000)

    reply = send_to(greet)

    assert (reply.status, reply.headers["retry-after"]) == (503, "9")


def test_a_body_that_follows_a_204_later_is_no_reply_to_the_next_request() -> None:
    async def answer_late(writer: asyncio.StreamWriter) -> None:
        await answer_bytes(writer, b"HTTP/1.1 204 No Content\r\n\r\n")
        await asyncio.sleep(0.01)
        await answer_bytes(writer, b"hello")

    reply, server = exchange(answer_late, times=3)

    assert (reply.status, reply.cut, server.connections) == (204, "more came after its end", 3)


def test_connections_of_a_204_as_it_should_be_are_kept() -> None:
    reply, server = exchange(answer_with(b"HTTP/1.1 204 No Content\r\n\r\n"), times=3)

    assert (reply.status, reply.cut, server.connections) == (204, None, 1)


def test_a_connection_that_speaks_between_two_requests_is_closed() -> None:
    async def scenario() -> tuple[OutboundReply, HttpServer]:
        late: list[asyncio.Task[None]] = []

        async def answer(writer: asyncio.StreamWriter) -> None:
            await answer_ok(writer)
            late.append(asyncio.create_task(speak(writer)))

        async def speak(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.02)
            await answer_bytes(writer, b"HTTP/1.1 408 Request Timeout\r\n\r\n")

        async with serve_http(answer) as server, OutboundClient(LOOPBACK) as client:
            await client.send(make_request(server.url))
            await wait_until(lambda: server.open_connections == 0)
            reply = await client.send(make_request(server.url))
            await asyncio.gather(*late)
            return reply, server

    reply, server = asyncio.run(scenario())

    assert (reply.status, server.connections) == (200, 2)


def test_a_connection_that_closes_behind_a_large_reply_is_not_asked_again() -> None:
    async def scenario() -> tuple[list[int], HttpServer]:
        async def answer(writer: asyncio.StreamWriter) -> None:
            await answer_bytes(writer, OK + b"Content-Length: 200000\r\n\r\n" + bytes(200_000))
            writer.close()

        async with serve_http(answer) as server, OutboundClient(LOOPBACK) as client:
            replies = []
            for _ in range(3):
                replies.append(await client.send(make_request(server.url, reply_limit=1_000_000)))
                await asyncio.sleep(0.05)
            return [len(reply.body) for reply in replies], server

    lengths, server = asyncio.run(scenario())

    assert (lengths, server.connections) == ([200_000] * 3, 3)


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Upgrade\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", 2),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n", 2),
        (b"HTTP/1.0 200 OK\r\n", 2),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", 1),
    ],
)
def test_a_connection_is_kept_where_both_sides_know_that(said: bytes, connections: int) -> None:
    _, server = exchange(answer_with(said + SIZED), times=2)

    assert server.connections == connections


@pytest.mark.parametrize("name", ["a body cut short", "a chunk without a length", "two lengths"])
def test_a_cut_reply_is_an_error_where_it_is_wanted_whole(name: str) -> None:
    sent, (_, _, _, cut) = ODD[name]

    with pytest.raises(ProtocolFailed, match="is not whole: ") as caught:
        exchange(answer_with(sent, then_close=True), whole=True)

    assert str(cut) in str(caught.value)


@pytest.mark.parametrize("name", ["a header of 8,300 bytes", "bytes after the body"])
def test_a_reply_with_all_of_its_body_is_whole(name: str) -> None:
    fields: dict[str, Any] = {"whole": True}

    reply, _ = exchange(answer_with(ODD[name][0]), **fields)

    assert reply.body == b"ok"
