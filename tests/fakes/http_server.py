"""A small HTTP server on a real socket: it records what arrives and answers, or misbehaves, as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HttpServer:
    """Where the server listens and what it saw: `heads` are request heads and `bodies` their bodies, as they came."""

    host: str = ""
    port: int = 0
    connections: int = 0
    open_connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where to send to, over plain http."""
        return (
            f"http://[{self.host}]:{self.port}/hook"
            if ":" in self.host
            else f"http://{self.host}:{self.port}/hook"
        )


@contextlib.asynccontextmanager
async def serve_http(
    answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpServer]:
    """Serve `answer` to every request until the block ends; connections are kept alive between requests."""
    server, tasks = HttpServer(host), set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        server.open_connections += 1
        # Whoever hangs up on a server that misbehaves, or ends the test, ends this connection too.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _answer_requests(server, reader, writer, answer)
        server.open_connections -= 1
        writer.transport.abort()

    listener = await asyncio.start_server(handle, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was aborted closes its socket a little later


async def answer_ok(writer: asyncio.StreamWriter) -> None:
    """The reply of a receiver that behaves."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: yes\r\n\r\nok")


async def answer_bytes(writer: asyncio.StreamWriter, reply: bytes) -> None:
    """Write `reply` as it is."""
    writer.write(reply)
    await writer.drain()
    await asyncio.sleep(0)  # drain alone never lets the loop hear that the other side is gone


def answer_with(reply: bytes, *, then_close: bool = False) -> Answer:
    """An answer of `reply` as it is, closing the connection afterwards where `then_close` says so."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await answer_bytes(writer, reply)
        if then_close:
            writer.close()
            await writer.wait_closed()

    return answer


async def _answer_requests(
    server: HttpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?im)^content-length: (\d+)", head)
        server.heads.append(head)
        server.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        await answer(writer)
