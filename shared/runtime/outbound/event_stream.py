"""An event stream from a checked address: the body of a reply that goes on, cut into events, each to a limit."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from http import HTTPStatus

from shared.runtime.errors import ProtocolFailed, StreamEnded, TimedOut
from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.opening import Opened, open_reply
from shared.runtime.outbound.reading import ReplyReader
from shared.runtime.outbound.server_events import EventReader, EventTooLargeError, ServerEvent
from shared.runtime.outbound.transport import Transport
from shared.runtime.outbound.wire import Wire

MEDIA_TYPE = "text/event-stream"
UNREAD_BYTES = 65_536
SILENT_SECONDS = 120.0
"""After so long without a byte the connection counts as gone: servers send comments to say that it is not."""

MOST_AT_ONCE = 500


class EventStream:
    """An open stream, of one event loop. What was read of the body and not taken yet holds up the reading."""

    def __init__(self, opened: Opened, limit: int) -> None:
        self.opened = opened
        self._loop = asyncio.get_running_loop()
        self._silent = 0.0
        self._gate = _Gate(opened.wire)
        self._reader = ReplyReader(self._gate, sys.maxsize, with_body=True, linger=False)
        self._gate.body = self._reader.body
        self._gate.limit = limit + UNREAD_BYTES
        self._events = EventReader(self._reader.body, limit)
        self._reading = self._loop.create_task(self._reader.read_rest(opened.head))
        self._over: StreamEnded | ProtocolFailed | None = None

    @property
    def wanted(self) -> int:
        """How many bytes wait for the rest of their event."""
        return len(self._reader.body)

    async def receive(self, seconds: float) -> list[ServerEvent]:
        """The events that came, waiting up to `seconds` for the first; none where none came.

        Errors: StreamEnded, ProtocolFailed, each once what came before is handed over.
        """
        came = self._cut()
        if not came and self._over is None:
            await self._listen(seconds)
            came = self._cut()
        if not came and self._over is None and self._reading.done():
            self._reading.result()
            notes = self.opened.head.notes
            self._over = StreamEnded(
                f"{self.opened.name} ended the stream{f': {notes[0]}' if notes else ''}.",
            )
        if not came and self._over:
            raise self._over
        return came

    def watch(self) -> None:
        """TimedOut where nothing has come for long, not even a comment, while it was listened to."""
        if self._silent >= SILENT_SECONDS:
            raise TimedOut(
                f"{self.opened.name} sent nothing for {SILENT_SECONDS:g} seconds, not even a comment."
            )

    async def close(self, _seconds: float) -> None:
        """End it: there is nothing to say."""
        self._reading.cancel()
        self.opened.drop()
        await asyncio.wait([self._reading])

    async def _listen(self, seconds: float) -> None:
        before, begun = len(self._reader.body), self._loop.time()
        self._gate.open()
        waiting = self._loop.create_task(self._gate.idle.wait())
        await asyncio.wait([self._reading, waiting], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        is_heard = len(self._reader.body) > before
        self._silent = 0.0 if is_heard else self._silent + self._loop.time() - begun

    def _cut(self) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        try:
            while len(events) < MOST_AT_ONCE and (event := self._events.read()):
                events.append(event)
        except EventTooLargeError:
            self._over = ProtocolFailed(f"{self.opened.name} sent an event that is too large.")
        return events


class _Gate:
    """The wire, which waits while enough is read already; `idle` is set while all that came is read."""

    def __init__(self, wire: Wire) -> None:
        self.body = bytearray()
        self.limit = UNREAD_BYTES
        self.idle = asyncio.Event()
        self._room = asyncio.Event()
        self._wire = wire
        self._known = 0

    @property
    def came(self) -> bytearray:
        return self._wire.came

    @property
    def broken(self) -> bool:
        return self._wire.broken

    def open(self) -> None:
        """What was read is taken, as far as it can be: read on."""
        self.idle.clear()
        self._known = len(self.body)
        self._room.set()

    async def more(self) -> bool:
        while len(self.body) > self.limit:
            self.idle.set()
            self._room.clear()
            await self._room.wait()
        if len(self.body) > self._known:
            self.idle.set()
        return await self._wire.more()

    async def listen(self, seconds: float) -> None:
        await self._wire.listen(seconds)


async def open_events(transport: Transport, request: OutboundRequest, limit: int) -> EventStream:
    """Send `request`, whose reply is to be an event stream; `limit` is the most bytes of an event.

    Errors: StreamRefused where it is none; ProtocolFailed where it is compressed, which nobody asked for; those of any
    request.
    """
    headers = {**request.headers, "Accept": MEDIA_TYPE}
    opened = await open_reply(transport, replace(request, headers=headers), HTTPStatus.OK, MEDIA_TYPE)
    if opened.head.headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        # Read as it is it would have no events, and look like a server that has nothing to say.
        opened.drop()
        raise ProtocolFailed(f"{opened.name} compressed its event stream, though it was not asked to.")
    return EventStream(opened, limit)
