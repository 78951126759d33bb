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
from shared.providers.kafka.frames import Frames

LOOK_UP_SECONDS = 5.0
CONNECT_SECONDS = 8.0
END_SECONDS = 1.0


class CheckedLoop(asyncio.SelectorEventLoop):
    """One session's own; what it is given to do in a thread is short, and done at once."""

    def __init__(self, owner: str = "") -> None:
        super().__init__()
        self._owner = owner
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
            frames = Frames(protocol_factory(), self._owner)
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
