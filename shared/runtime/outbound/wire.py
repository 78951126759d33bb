"""HTTP/1.1 on a connection of aiohttp's: one request written at once, one reply read to a limit.

aiohttp's own session costs twice as much a request, for what must never happen here: redirects, cookies, proxies,
passwords from files, a second try. Its parser takes a reply for a failure where only a header is too long. Its
connections, TLS and pool are used as they are.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.reading import ReplyReader
from shared.runtime.outbound.targets import Target

UNREAD_BYTES = 65_536
"""What may wait to be read before the other side has to wait, too."""

Held = Connection
"""A connection of aiohttp's pool, for those who have it held and know nothing of aiohttp."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DEFAULTS = (("accept", "Accept: */*"), ("user-agent", "User-Agent: device-integrations"))


class Wire(ResponseHandler):
    """A connection whose bytes are left as they come. One that speaks between two requests is closed at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.came = bytearray()
        self.broken = False
        self._is_idle = False
        self._is_held = False
        self._wakes: asyncio.Future[None] | None = None

    @property
    def peer(self) -> tuple[str, str] | None:
        """From when to when the certificate of the other side holds, as it says; None without TLS."""
        shown = self.transport and self.transport.get_extra_info("peercert")
        return (shown["notBefore"], shown["notAfter"]) if shown else None

    def ask(self, data: bytes) -> None:
        """Write a request; what comes from now on is its reply. ClientConnectionError where the connection is gone."""
        if self.transport is None or self.transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        self._is_idle = False
        self.transport.write(data)

    def end(self) -> bool:
        """The reply was read; whether another request may follow: nothing of this one is still under way."""
        self._is_idle = True
        # One that nobody listens to would not hear that the other side closed it.
        self._resume()
        return self.transport is not None and not self.came and not self.transport.get_write_buffer_size()

    async def more(self) -> bool:
        """Wait until more came; False where nothing can follow."""
        if self.transport is None:
            return False
        self._resume()
        before = len(self.came)
        self._wakes = self._loop.create_future()
        try:
            await self._wakes
        finally:
            self._wakes = None
        return len(self.came) > before

    async def listen(self, seconds: float) -> None:
        """Wait until more came or the connection ended, `seconds` at most."""
        timer = self._loop.call_later(seconds, self._wake)
        try:
            await self.more()
        finally:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """More came."""
        if self._is_idle:
            # The rest of a reply that was read, or a farewell: never the reply to what is asked next.
            self.abort()
            return
        self.came += data
        if len(self.came) >= UNREAD_BYTES and self.transport is not None:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The other side closed, or the connection broke."""
        self.broken = exc is not None
        super().connection_lost(exc)
        self._wake()

    def _resume(self) -> None:
        if self._is_held and self.transport is not None:
            self._is_held = False
            self.transport.resume_reading()

    def _wake(self) -> None:
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool of connections, each of them a Wire."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_make_wire, self._loop)


def _make_wire(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return Wire(loop)


def write_request(request: OutboundRequest, target: Target) -> bytes:
    """The bytes of `request`, whose headers were checked; only the framing and what HTTP needs is added."""
    headers, body = request.headers, request.body or b""
    head = f"{request.method} {target.path} HTTP/1.1\r\nHost: {target.host}\r\n"
    head += _plan_headers(tuple(headers)) % headers
    if body or request.method in _WITH_BODY:
        head += f"Content-Length: {len(body)}\r\n"
    return (head + "Accept-Encoding: identity\r\n\r\n").encode() + body


@lru_cache(maxsize=1024)
def _plan_headers(names: tuple[str, ...]) -> str:
    """The lines of headers of these names and of what they lack, each value to be filled in by its name."""
    given = {name.lower(): f"{name.replace('%', '%%')}: %({name})s" for name in names}
    given.pop("accept-encoding", None)
    lines = [*given.values(), *(line for name, line in _DEFAULTS if name not in given)]
    return "".join(f"{line}\r\n" for line in lines)


async def exchange(connection: Connection, data: bytes, reader: ReplyReader) -> None:
    """Write `data`, read the reply; the connection is kept where nothing was odd, else dropped at once.

    Raises NoStatusError, and aiohttp's errors where the connection is gone already.
    """
    wire = get_wire(connection)
    try:
        wire.ask(data)
        if not (await wire.more() and reader.read_at_once()):
            await reader.read()
    except BaseException:
        drop_connection(connection)
        raise
    may_go_on = wire.end() and not reader.is_last
    if reader.was_odd:
        drop_connection(connection)
    elif may_go_on:
        connection.release()
    else:
        connection.close()


def get_wire(connection: Connection) -> Wire:
    """What `connection` reads from and writes to."""
    wire = connection.protocol
    assert isinstance(wire, Wire)  # noqa: S101 - our connector makes no others
    return wire


def drop_connection(connection: Connection) -> None:
    """Close without manners: a polite TLS close would wait 30 s for a peer that reads no more, or read on."""
    if connection.transport:
        connection.transport.abort()
    connection.close()
