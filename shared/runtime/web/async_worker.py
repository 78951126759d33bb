"""uvicorn under gunicorn, with bounds on what comes before a request is there: the size of its head, and its time."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

HEAD_LIMIT = 65_536
"""Bytes of a request's head."""

REQUEST_SECONDS = 40.0
"""Within which a request has to be there, or its connection ends; a body that trickles has less (`streamed`)."""

MOST_CONNECTIONS = 1_000
"""With more of them, those between two requests end first."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _begun = False
    """Whether part of a request is there, and not all of it."""
    _head: int | None = None
    """Bytes of a head that is not complete; None between heads."""
    _ending: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is between two requests, or before its first."""
        return not self._begun and (self.cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Make room, where there are too many; and wait for a first request no longer than for another."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        if len(self.connections) > MOST_CONNECTIONS:
            self._end_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is complete by then costs nothing more."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_LIMIT and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")
        if not self._begun:
            self._disarm()
        elif self._ending is None and not self.transport.is_closing():
            self._ending = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begun, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._begun = False
        super().on_message_complete()

    def _disarm(self) -> None:
        if self._ending:
            self._ending.cancel()
            self._ending = None

    def _end_idle(self) -> None:
        for each in list(self.connections):
            if isinstance(each, BoundedProtocol) and each.is_idle and each is not self:
                each.transport.close()


class AsyncWorker(UvicornWorker):  # type: ignore[misc] # it publishes no types
    """One process, with its event loop."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - as uvicorn_worker has it
        "loop": "asyncio",
        "http": BoundedProtocol,
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "proxy_headers": False,
        "server_header": False,
    }

    async def callback_notify(self) -> None:
        """Tell that it lives; and end, where nobody is left whom to tell."""
        await super().callback_notify()
        if self.ppid != os.getppid():
            signal.raise_signal(signal.SIGTERM)
