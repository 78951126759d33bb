"""The event loop that every connection to a broker is made on: to checked addresses only (SSRF), frames to a limit.

A cluster says by itself where its brokers are (`advertised.listeners`), so each of these is looked up and checked as
what an admin writes is, and what was checked is dialled: a name that means another address a moment later (DNS
rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ssl import SSLContext, SSLError
from typing import Any

from shared.provider import OutsideError, TimedOut, describe_connect_error, resolve_checked

LOOK_UP_SECONDS = 5.0
CONNECT_SECONDS = 8.0
FRAME_BYTES = 33_554_432
"""Of one answer. A record batch that is larger than what was asked for comes whole: brokers take 1 MB, unless told."""

SIZE_BYTES = 4
END_SECONDS = 1.0


class CheckedLoop(asyncio.SelectorEventLoop):
    """One session's own; what it is given to do in a thread is short, and done at once."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: set[asyncio.Transport] = set()

    def end(self) -> None:
        """End whatever is under way, and every connection without a word."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        for transport in self._opened:
            transport.abort()
        self.run_until_complete(asyncio.wait([*tasks, self.create_task(_breathe())], timeout=END_SECONDS))
        self.close()

    async def create_connection(  # type: ignore[override] # of its many forms the one that clients use
        self,
        protocol_factory: Callable[[], asyncio.StreamReaderProtocol],
        host: str,
        port: int,
        *,
        ssl: SSLContext | None = None,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect to the first of the checked addresses of `host` that answers. Errors: OutsideError, ssl.SSLError."""
        # In a thread, so that brokers whose names take their time do so side by side, and the session goes on.
        addresses = await super().run_in_executor(None, resolve_checked, host, port, LOOK_UP_SECONDS)
        failure: OutsideError = TimedOut(f"{host} port {port} did not answer in time.")
        for address in addresses:
            frames = _Frames(protocol_factory())
            try:
                async with asyncio.timeout(CONNECT_SECONDS / len(addresses)):
                    made = await super().create_connection(
                        lambda frames=frames: frames.protocol,
                        address.address,
                        port,
                        ssl=ssl,
                        server_hostname=host if ssl else None,
                    )
            except TimeoutError:
                continue
            except OSError as error:
                if ssl and isinstance(error, SSLError | ConnectionResetError):
                    raise
                failure = describe_connect_error(host, port, error)
                continue
            frames.watch(made[0])
            self._opened = {each for each in self._opened if not each.is_closing()} | {made[0]}
            return made
        raise failure

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """At once: a step of SASL is all that comes."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
            future.set_exception(error)
        return future


async def _breathe() -> None:
    """What was ended takes two rounds of the loop to be gone."""
    for _ in range(3):
        await asyncio.sleep(0)


class _Frames:
    """Counts the bytes of each answer as they come, and ends the connection before one that is too large."""

    def __init__(self, protocol: asyncio.StreamReaderProtocol) -> None:
        self.protocol = protocol
        self._receive = protocol.data_received
        self._left = 0
        self._size = bytearray()
        self._is_over = False
        self._transport: asyncio.Transport | None = None
        protocol.data_received = self._count  # type: ignore[method-assign]

    def watch(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if self._is_over:
            transport.abort()

    def _count(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._is_over:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            step = min(SIZE_BYTES - len(self._size), len(data) - at)
            self._size += data[at : at + step]
            at += step
            if len(self._size) == SIZE_BYTES:
                self._left = int.from_bytes(self._size, signed=True)
                self._size.clear()
                self._is_over = not 0 <= self._left <= FRAME_BYTES
        if not self._is_over:
            self._receive(data)
        elif self._transport is not None:
            self._transport.abort()
