"""TLS is verified: the chain, the dates and the name, on a fresh connection and on a kept one."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Self

import pytest

from shared.runtime.errors import TimedOut, TlsFailed
from shared.runtime.outbound import OutboundClient, OutboundReply
from tests.fakes import hostile_answers as hostile
from tests.fakes.http_certificates import Authority
from tests.fakes.http_exchange import LOOPBACK, answer_names, make_request, send_with, wait_until
from tests.fakes.http_server import Answer, answer_ok, serve_http

AUTHORITY = Authority()


def make_client(trust: str | None = AUTHORITY.pem) -> OutboundClient:
    return OutboundClient(LOOPBACK, look_up=answer_names("127.0.0.1"), extra_trust=trust)


def call_server(
    tls: ssl.SSLContext, host: str = "a.test", *, trust: str | None = AUTHORITY.pem
) -> OutboundReply:
    async def run() -> OutboundReply:
        async with serve_http(answer_ok, tls=tls) as server, make_client(trust) as client:
            return await client.send(make_request(f"https://{host}:{server.port}/"))

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["a.test", "127.0.0.1"])
def test_a_trusted_certificate_for_the_host_is_accepted(host: str) -> None:
    assert call_server(AUTHORITY.issue_server(host), host).status == 200


def test_a_reply_says_when_the_certificate_ends_on_a_kept_connection_too() -> None:
    async def run() -> list[tuple[float, float] | None]:
        tls = AUTHORITY.issue_server("a.test", days=9)
        async with serve_http(answer_ok, tls=tls) as server, make_client() as client:
            sent = [await client.send(make_request(f"https://a.test:{server.port}/")) for _ in range(2)]
            assert server.connections == 1
        async with serve_http(answer_ok) as plain, make_client() as client:
            return [reply.certificate for reply in (*sent, await client.send(make_request(plain.url)))]

    first, second, plain = asyncio.run(run())

    assert first == second
    assert first is not None
    assert first[1] - first[0] == 39 * 86_400
    assert abs(first[1] - time.time() - 9 * 86_400) < 60
    assert plain is None


def test_a_certificate_for_another_host_is_refused() -> None:
    with pytest.raises(TlsFailed, match=r"The certificate of a\.test is for another host"):
        call_server(AUTHORITY.issue_server("b.test"))


def test_a_certificate_for_a_name_does_not_serve_for_its_address() -> None:
    with pytest.raises(TlsFailed, match=r"The certificate of 127\.0\.0\.1 is for another host"):
        call_server(AUTHORITY.issue_server("a.test"), "127.0.0.1")


def test_an_expired_certificate_is_refused() -> None:
    with pytest.raises(TlsFailed, match=r"The certificate of a\.test has expired; renew it"):
        call_server(AUTHORITY.issue_server("a.test", days=-1))


def test_an_unknown_authority_is_refused() -> None:
    with pytest.raises(TlsFailed, match=r"The certificate of a\.test was issued by an unknown authority"):
        call_server(AUTHORITY.issue_server("a.test"), trust=None)


def test_a_kept_connection_does_not_serve_another_host_on_the_same_address() -> None:
    async def scenario() -> int:
        async with (
            serve_http(answer_ok, tls=AUTHORITY.issue_server("a.test")) as server,
            make_client() as client,
        ):
            await client.send(make_request(f"https://a.test:{server.port}/"))
            with pytest.raises(TlsFailed, match=r"b\.test is for another host"):
                await client.send(make_request(f"https://b.test:{server.port}/"))
            return len(server.heads)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize(
    "answer", [hostile.never_answer, hostile.drip_body, hostile.send_endlessly, hostile.send_endless_header]
)
def test_a_given_up_tls_connection_is_closed_at_once(answer: Answer) -> None:
    async def scenario() -> int:
        async with (
            serve_http(answer, tls=AUTHORITY.issue_server("a.test")) as server,
            make_client() as client,
        ):
            request = make_request(f"https://a.test:{server.port}/", timeout_seconds=1)
            await asyncio.gather(client.send(request), return_exceptions=True)
            await wait_until(lambda: server.open_connections == 0)
            return server.connections

    assert asyncio.run(scenario()) == 1


class DeafServer:
    """Accepts one TLS connection, says `greeting`, and then neither reads, writes nor closes."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        # On a busy machine the client may have given up before: then there is nobody to wait for.
        self._listener.settimeout(10)
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept)
        self.url = f"https://a.test:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._connection:
            self._connection.close()
        self._listener.close()

    def _accept(self) -> None:
        tls = AUTHORITY.issue_server("a.test")
        with suppress(OSError):
            accepted = self._listener.accept()[0]
            accepted.settimeout(10)
            self._connection = tls.wrap_socket(accepted, server_side=True)
            self._connection.sendall(self._greeting)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun"])
def test_a_tls_server_that_stopped_reading_leaves_no_socket_behind(greeting: bytes) -> None:
    with DeafServer(greeting) as server, pytest.raises(TimedOut):
        send_with(make_client, make_request(server.url, timeout_seconds=0.5, whole=True))

    gc.collect()  # a socket left behind is reported here, as an error


def test_a_tls_server_that_stopped_reading_is_judged_by_the_status_it_began_with() -> None:
    with DeafServer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun") as server:
        reply = send_with(make_client, make_request(server.url, timeout_seconds=0.5))

    assert (reply.status, reply.body, reply.truncated) == (200, b"begun", True)


def test_a_server_that_never_finishes_the_handshake_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOut):
        send_with(
            make_client, make_request(f"https://a.test:{silent.getsockname()[1]}/", timeout_seconds=0.5)
        )


def accept_once(listener: socket.socket, greeting: bytes) -> None:
    with listener.accept()[0] as connection:
        connection.recv(4096)
        connection.sendall(greeting)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_port_that_does_not_speak_tls_is_told_so(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept_once, args=(listener, greeting))
        thread.start()
        with pytest.raises(TlsFailed, match="is that a TLS port"):
            send_with(make_client, make_request(f"https://a.test:{listener.getsockname()[1]}/"))
        thread.join()
