"""Servers that drip, flood, bomb, lie or hang cost one deadline and a few kilobytes, no more."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from shared.runtime.errors import ConnectionRefused, NameNotResolved, ProtocolFailed, TimedOut
from shared.runtime.outbound import OutboundClient, SocketAddress
from tests.fakes import hostile_answers as hostile
from tests.fakes.http_exchange import LOOPBACK, answer_names, exchange, make_request, send_with, wait_until
from tests.fakes.http_server import Answer, HttpServer, answer_ok, answer_with, serve_http


@pytest.mark.parametrize("answer", [hostile.never_answer, hostile.drip_head])
def test_one_deadline_covers_the_whole_exchange(answer: Answer) -> None:
    started = time.monotonic()

    with pytest.raises(TimedOut, match=r"127\.0\.0\.1 did not answer in full within 0\.5 seconds"):
        exchange(answer, timeout_seconds=0.5)

    assert time.monotonic() - started < 3


@pytest.mark.parametrize("answer", [hostile.drip_body, hostile.drip_headers])
def test_what_is_late_after_the_status_is_cut_at_the_deadline(answer: Answer) -> None:
    started = time.monotonic()

    reply, _ = exchange(answer, timeout_seconds=0.5)

    assert (reply.status, reply.truncated, reply.cut) == (
        200,
        True,
        "it was not complete within 0.5 seconds",
    )
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("answer", [hostile.drip_body, hostile.drip_headers])
def test_a_reply_that_is_wanted_whole_or_not_at_all_is_late_at_the_deadline(answer: Answer) -> None:
    with pytest.raises(TimedOut, match=r"did not answer in full within 0\.5 seconds"):
        exchange(answer, timeout_seconds=0.5, whole=True)


def test_a_name_server_that_hangs_counts_too_and_does_not_hold_up_the_end() -> None:
    def hang(host: str, port: int) -> list[SocketAddress]:
        time.sleep(20)
        return answer_names("127.0.0.1")(host, port)

    started = time.monotonic()

    with pytest.raises(TimedOut):
        send_with(
            lambda: OutboundClient(LOOPBACK, look_up=hang),
            make_request("http://a.test/", timeout_seconds=0.2),
        )

    assert time.monotonic() - started < 10


@pytest.mark.parametrize("answer", [hostile.drip_body, hostile.send_endlessly])
def test_a_given_up_connection_is_closed_at_once(answer: Answer) -> None:
    async def scenario() -> HttpServer:
        async with serve_http(answer) as server, OutboundClient(LOOPBACK) as client:
            await asyncio.gather(
                client.send(make_request(server.url, timeout_seconds=0.3)), return_exceptions=True
            )
            await wait_until(lambda: server.open_connections == 0)
            return server

    assert asyncio.run(scenario()).connections == 1


@pytest.mark.parametrize("answer", [hostile.send_endlessly, hostile.announce_gigabyte])
def test_of_an_endless_reply_only_the_limit_is_read(answer: Answer) -> None:
    reply, _ = exchange(answer, reply_limit=1000)

    assert (reply.status, reply.body, reply.truncated) == (200, b"x" * 1000, True)


def test_after_a_cut_reply_the_next_request_has_a_connection_of_its_own() -> None:
    reply, server = exchange(hostile.send_endlessly, times=3, reply_limit=10)

    assert (reply.status, server.connections) == (200, 3)


def test_a_gzip_bomb_is_not_expanded() -> None:
    reply, _ = exchange(hostile.send_gzip_bomb, reply_limit=100_000)

    assert (reply.body, reply.truncated) == (hostile.GZIP_BOMB, False)


def test_of_ten_thousand_headers_the_limit_is_kept() -> None:
    reply, server = exchange(hostile.send_many_headers, times=2)

    assert (reply.status, reply.truncated, reply.cut) == (200, False, "more than 128 headers came")
    assert (len(reply.headers), reply.headers["X-127"], server.connections) == (128, "127", 2)


def test_of_an_endless_header_only_the_limit_is_read() -> None:
    reply, _ = exchange(hostile.send_endless_header)

    assert (reply.status, reply.body, reply.truncated) == (200, b"", True)
    assert reply.cut == "its headers are longer than 262144 bytes"


def test_interim_answers_without_end_are_a_protocol_error() -> None:
    with pytest.raises(ProtocolFailed, match="100 Continue again and again"):
        exchange(hostile.send_endless_interim)


def test_a_few_interim_answers_do_no_harm() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    reply, _ = exchange(answer_with(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    assert (reply.status, reply.body) == (200, b"ok")


def test_a_cancellation_from_outside_stays_one() -> None:
    async def scenario() -> None:
        async with serve_http(hostile.never_answer) as server, OutboundClient(LOOPBACK) as client:
            task = asyncio.create_task(client.send(make_request(server.url)))
            await wait_until(lambda: server.connections == 1)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"200 OK\r\n\r\n",
        b"hello",
        b"\x15\x03\x03\x00\x02\x02\x46" * 10,
    ],
)
def test_what_is_not_http_is_a_protocol_error(reply: bytes) -> None:
    with pytest.raises(ProtocolFailed, match="not an HTTP reply"):
        exchange(answer_with(reply, then_close=True))


@pytest.mark.parametrize(
    "reply",
    [b"", b"\r\n", b"HTT", b"HTTP/1.1 20", b"HTTP/1.1 200", b"HTTP/1.1 100 Continue\r\n\r\n"],
)
def test_a_reply_that_breaks_off_before_its_status_is_a_protocol_error(reply: bytes) -> None:
    with pytest.raises(
        ProtocolFailed, match=r"127\.0\.0\.1 closed the connection before its reply was complete"
    ):
        exchange(answer_with(reply, then_close=True))


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_lost_connection_is_not_tried_again_behind_the_callers_back(method: str) -> None:
    async def scenario() -> HttpServer:
        async with (
            serve_http(answer_with(b"", then_close=True)) as server,
            OutboundClient(LOOPBACK) as client,
        ):
            with pytest.raises(ProtocolFailed):
                await client.send(make_request(server.url, method=method))
            return server

    assert len(asyncio.run(scenario()).heads) == 1


def test_a_refused_connection_names_the_port_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(
        ConnectionRefused, match=rf"127\.0\.0\.1 refused the connection on port {port}; check"
    ):
        send_with(lambda: OutboundClient(LOOPBACK), make_request(f"http://127.0.0.1:{port}/"))


def test_a_name_without_addresses_is_not_resolved() -> None:
    with pytest.raises(NameNotResolved, match=r"a\.test has no address"):
        send_with(lambda: OutboundClient(LOOPBACK, look_up=answer_names()), make_request("http://a.test/"))


def test_a_hanging_server_does_not_hold_up_another() -> None:
    async def scenario() -> list[int]:
        async with (
            serve_http(hostile.never_answer) as hanging,
            serve_http(answer_ok) as healthy,
            OutboundClient(LOOPBACK) as client,
        ):
            stuck = [
                asyncio.create_task(client.send(make_request(hanging.url, timeout_seconds=30)))
                for _ in range(150)
            ]
            await wait_until(lambda: hanging.connections == 150)
            replies = await asyncio.gather(*(client.send(make_request(healthy.url)) for _ in range(20)))
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
            return [reply.status for reply in replies]

    assert asyncio.run(scenario()) == [200] * 20
