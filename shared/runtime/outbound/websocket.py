"""A WebSocket (RFC 6455) to a checked address: no extensions, so no compression; no redirects; messages to a limit."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from shared.runtime.errors import ProtocolFailed, StreamEnded, TimedOut
from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.frames import (
    CLOSE,
    GOING,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameError,
    FrameReader,
    read_close,
    write_close,
    write_frame,
)
from shared.runtime.outbound.opening import Opened, open_reply
from shared.runtime.outbound.transport import Transport

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PING_SECONDS = 20.0
"""After so long without a word the other side is asked whether it is still there, and has as long to say so."""

UNSENT_BYTES = 1_048_576
"""What may wait to be taken by the other side."""

MOST_AT_ONCE = 500
"""Messages that are handed over together."""


class WebSocket:
    """An open connection, of one event loop. `subprotocol` is what the other side chose."""

    def __init__(self, opened: Opened, subprotocol: str, limit: int) -> None:
        self.subprotocol = subprotocol
        self.opened = opened
        self._wire = opened.wire
        self._frames = FrameReader(self._wire.came, limit)
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._asked = False
        self._over: StreamEnded | ProtocolFailed | None = None

    @property
    def wanted(self) -> int:
        """How many bytes the message that has begun needs."""
        return self._frames.wanted

    async def receive(self, seconds: float) -> list[bytes]:
        """The messages that came, waiting up to `seconds` for the first; none where none came.

        Errors: StreamEnded, ProtocolFailed, TimedOut, each once what came before is handed over.
        """
        came = self._cut()
        if came or self._over:
            return self._hand(came)
        before = len(self._wire.came)
        await self._wire.listen(seconds)
        if len(self._wire.came) > before:
            self._heard, self._asked = self._loop.time(), False
        came = self._cut()
        if not came and not self._over and self._wire.transport is None:
            self._over = StreamEnded(f"{self.opened.name} closed the connection without a word.")
        return self._hand(came)

    def send(self, text: bytes) -> None:
        """Send one message, UTF-8. Errors: TimedOut where the other side takes none."""
        self._write(write_frame(TEXT, text))

    def watch(self) -> None:
        """Ask whether the other side is there where it has been silent; TimedOut where it does not say so."""
        silent = self._loop.time() - self._heard
        if silent >= 2 * PING_SECONDS:
            raise TimedOut(f"{self.opened.name} did not answer a ping within {PING_SECONDS:g} seconds.")
        if silent >= PING_SECONDS and not self._asked:
            self._asked = True
            self._write(write_frame(PING))

    async def close(self, seconds: float) -> None:
        """Say that it is over, and wait up to `seconds` for the other side to say so too."""
        try:
            if self._over is None and self._wire.transport is not None:
                self._write(write_close(GOING))
                async with asyncio.timeout(seconds):
                    while self._over is None and await self._wire.more():
                        self._cut()
        except (TimeoutError, TimedOut):
            return
        finally:
            self.opened.drop()

    def _hand(self, came: list[bytes]) -> list[bytes]:
        if not came and self._over:
            raise self._over
        return came

    def _cut(self) -> list[bytes]:
        """The messages that are whole."""
        messages: list[bytes] = []
        pings: list[bytes] = []
        try:
            while self._over is None and len(messages) < MOST_AT_ONCE and (frame := self._frames.read()):
                self._sort(frame, messages, pings)
        except FrameError as error:
            self._over = ProtocolFailed(f"{self.opened.name} {error}.")
            self._write(write_close(error.code))
        if pings and self._over is None:
            # Of several the last one is answered, as RFC 6455 allows.
            self._write(write_frame(PONG, pings[-1]))
        return messages

    def _sort(self, frame: Frame, messages: list[bytes], pings: list[bytes]) -> None:
        if frame.opcode == CLOSE:
            code, reason = read_close(frame.body)
            said = f": {reason}" if reason else ""
            words = f"{self.opened.name} closed the connection ({code}){said}."
            self._over = StreamEnded(words, ended=code, reason=reason)
            self._write(write_close(GOING))
        elif frame.opcode == PING:
            pings.append(frame.body)
        elif frame.opcode != PONG:
            messages.append(frame.body)

    def _write(self, data: bytes) -> None:
        transport = self._wire.transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES:
            raise TimedOut(f"{self.opened.name} does not take what is sent to it.")
        transport.write(data)


async def open_websocket(
    transport: Transport, request: OutboundRequest, subprotocols: Sequence[str], limit: int
) -> WebSocket:
    """Ask for a WebSocket with one of `subprotocols`; `limit` is the most bytes of a message.

    Errors: StreamRefused, ProtocolFailed where what is agreed on is not what was offered; those of any request.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {
        **request.headers,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": ", ".join(subprotocols),
    }
    opened = await open_reply(transport, replace(request, headers=headers), HTTPStatus.SWITCHING_PROTOCOLS)
    told = opened.head.headers
    chosen = told.get("sec-websocket-protocol", "")
    objection = None
    if told.get("sec-websocket-accept", "") != _answer(key) or told.get("upgrade", "").lower() != "websocket":
        objection = "switched to something that is no WebSocket"
    elif told.get("sec-websocket-extensions"):
        objection = "uses an extension that was not offered"
    elif chosen not in subprotocols:
        objection = f"chose none of the subprotocols {', '.join(subprotocols)}"
    if objection:
        opened.drop()
        raise ProtocolFailed(f"{opened.name} {objection}.")
    return WebSocket(opened, chosen, limit)


def _answer(key: str) -> str:
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()
