"""What the other side goes on to send, some messages at a time, for callers without an event loop of their own.

Between two calls nothing is read: whoever sends faster than that is stored is held up by its connection.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from shared.runtime.memory import SMALL, load_reading_budget
from shared.runtime.outbound.addresses import AddressPolicy, load_policy
from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.headers import check_headers
from shared.runtime.outbound.names import LookUp, look_up_addresses
from shared.runtime.outbound.timing import note_call, note_certificate
from shared.runtime.telemetry import observe

if TYPE_CHECKING:
    from shared.runtime.outbound.event_stream import EventStream
    from shared.runtime.outbound.server_events import ServerEvent
    from shared.runtime.outbound.transport import Transport
    from shared.runtime.outbound.websocket import WebSocket

STREAM_BYTES = 1_048_576
"""Of one message, unless told."""

CLOSE_SECONDS = 1.0
MEMORY_PAUSE_SECONDS = 0.05

Link = TypeVar("Link", "WebSocket", "EventStream")


class OutboundStream(Generic[Link]):
    """One connection to a checked address, with an event loop of its own. Use it in a `with`, and `open` it there.

    `limit` is the most bytes of a message. `owner` is the organization whose memory a large one takes while it comes.
    """

    def __init__(
        self,
        owner: str = "",
        *,
        limit: int = STREAM_BYTES,
        policy: AddressPolicy | None = None,
        look_up: LookUp = look_up_addresses,
    ) -> None:
        # Imported here, for it brings ssl with it, and whoever reads no stream does not need it.
        import asyncio

        self._limit = limit
        self._policy = policy or load_policy()
        self._look_up = look_up
        self._holding = load_reading_budget().open(owner)
        self._link: Link | None = None
        self._transport: Transport | None = None
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._holding.close()
            self._runner.close()

    @property
    def _open_link(self) -> Link:
        assert self._link is not None  # noqa: S101 - nobody reads what was not opened
        return self._link

    def _find_room(self, seconds: float) -> bool:
        """Whether there is memory for the message that has begun; waits a moment where there is not."""
        wanted = self._open_link.wanted
        if wanted <= SMALL:
            self._holding.close()
            return True
        if not self._holding.has_room(wanted):
            time.sleep(min(MEMORY_PAUSE_SECONDS, seconds))
            return False
        self._holding.hold(wanted)
        return True

    def _start(self, request: OutboundRequest) -> Transport:
        from shared.runtime.outbound.transport import Transport

        check_headers(request.headers)
        self._transport = Transport(self._policy, self._look_up, None)
        return self._transport

    def _note(self, link: Link) -> None:
        note_call(link.opened.milliseconds)
        note_certificate(link.opened.certificate)
        self._link = link

    async def _close(self) -> None:
        if self._link is not None:
            await self._link.close(CLOSE_SECONDS)
        if self._transport is not None:
            await self._transport.close()


class WebSocketStream(OutboundStream["WebSocket"]):
    """The messages of a WebSocket."""

    subprotocol = ""
    """What the other side chose of those that were offered."""

    def open(self, request: OutboundRequest, subprotocols: Sequence[str]) -> None:
        """Connect, within the time of `request`, a GET to http or https. Errors: StreamRefused, OutsideErrors."""

        async def run() -> None:
            from shared.runtime.outbound.websocket import open_websocket

            with observe("client", request.method, {"http.request.method": request.method}):
                link = await open_websocket(self._start(request), request, subprotocols, self._limit)
            self._note(link)
            self.subprotocol = link.subprotocol

        self._runner.run(run())

    def receive(self, seconds: float) -> list[bytes]:
        """The messages that came, waiting up to `seconds` for the first. Errors: StreamEnded, OutsideErrors."""

        async def run() -> list[bytes]:
            self._open_link.watch()
            return await self._open_link.receive(seconds)

        return self._runner.run(run()) if self._find_room(seconds) else []

    def send(self, text: bytes) -> None:
        """Send a message. Errors: TimedOut where the other side takes none."""

        async def run() -> None:
            self._open_link.send(text)

        self._runner.run(run())


class EventStreamReader(OutboundStream["EventStream"]):
    """The events of an event stream (text/event-stream)."""

    def open(self, request: OutboundRequest) -> None:
        """Send `request` and read on, within its time. Errors: StreamRefused, OutsideErrors."""

        async def run() -> None:
            from shared.runtime.outbound.event_stream import open_events

            with observe("client", request.method, {"http.request.method": request.method}):
                link = await open_events(self._start(request), request, self._limit)
            self._note(link)

        self._runner.run(run())

    def receive(self, seconds: float) -> list[ServerEvent]:
        """The events that came, waiting up to `seconds` for the first. Errors: StreamEnded, OutsideErrors."""

        async def run() -> list[ServerEvent]:
            self._open_link.watch()
            return await self._open_link.receive(seconds)

        return self._runner.run(run()) if self._find_room(seconds) else []
