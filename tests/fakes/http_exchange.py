"""One request through OutboundClient to a server of the tests, as a synchronous call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from shared.runtime.outbound import (
    AddressPolicy,
    OutboundClient,
    OutboundReply,
    OutboundRequest,
    SocketAddress,
)
from tests.fakes.http_server import Answer, HttpServer, serve_http

LOOPBACK = AddressPolicy.from_text("127.0.0.0/8,::1/128")


def exchange(
    answer: Answer, *, times: int = 1, host: str = "127.0.0.1", **fields: Any
) -> tuple[OutboundReply, HttpServer]:
    """Send a request made of `fields` to a server with this `answer`; the last reply and what the server saw."""

    async def run() -> tuple[OutboundReply, HttpServer]:
        async with serve_http(answer, host=host) as server, OutboundClient(LOOPBACK) as client:
            for _ in range(times):
                reply = await client.send(make_request(server.url, **fields))
            return reply, server

    return asyncio.run(run())


def send_with(client: Callable[[], OutboundClient], request: OutboundRequest) -> OutboundReply:
    """Send `request` with a client made for it."""

    async def run() -> OutboundReply:
        async with client() as opened:
            return await opened.send(request)

    return asyncio.run(run())


def make_request(url: str, **fields: Any) -> OutboundRequest:
    """A POST of a small JSON body, `fields` replacing its parts."""
    usual: dict[str, Any] = {"method": "POST", "headers": {}, "body": b'{"a":1}', "timeout_seconds": 5.0}
    return OutboundRequest(url=url, **(usual | fields))


def answer_names(*addresses: str) -> Callable[[str, int], list[SocketAddress]]:
    """A name server that has these addresses for every name."""
    return lambda _, port: [make_address(address, port) for address in addresses]


def make_address(address: str, port: int) -> SocketAddress:
    """`address` as a look-up gives it."""
    return SocketAddress(socket.AF_INET6 if ":" in address else socket.AF_INET, address, port)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until `condition` holds; TimeoutError after 5 s."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the server's hands
            await asyncio.sleep(0.01)
