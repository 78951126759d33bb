"""A WebSocket to a checked address: no extensions, so no compression; no redirects; messages to a limit.

Frames and the handshake are websockets' (RFC 6455), fed by our own connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Protocol, Side, State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from shared.runtime.errors import OutsideError, ProtocolFailed, StreamEnded, TimedOut
from shared.runtime.memory import SMALL
from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.opening import Opened, open_reply
from shared.runtime.outbound.transport import Transport

PING_SECONDS = 20.0
"""After so long without a word the other side is asked whether it is still there, and has as long to say so."""

UNSENT_BYTES = 1_048_576
"""What may wait to be taken by the other side."""

MOST_FRAGMENTS = 1_000
"""Of one message; nobody sends more, but who wants to be waited for."""

_log = logging.getLogger(__name__)
_log.setLevel(
    logging.ERROR
)  # or what is sent, tokens too, would stand in the log of an operator who asks for details


class WebSocket:
    """An open connection, of one event loop. `subprotocol` is what the other side chose."""

    def __init__(self, opened: Opened, subprotocol: str, limit: int) -> None:
        self.opened = opened
        self.subprotocol = subprotocol
        self._wire = opened.wire
        self._limit = limit
        self._framing = Protocol(Side.CLIENT, max_size=limit, logger=_log)
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._silent = 0.0
        self._asked = False
        self._over: OutsideError | None = None

    @property
    def wanted(self) -> int:
        """How many bytes a message that has begun may need."""
        begun = len(self._framing.reader.buffer) + sum(map(len, self._parts))
        return self._limit if begun > SMALL else 0

    async def receive(self, seconds: float) -> list[bytes]:
        """The messages that came, waiting up to `seconds` for the first; none where none came.

        Errors: StreamEnded, ProtocolFailed, TimedOut, each once what came before is handed over.
        """
        if not self._wire.came and self._over is None:
            begun = self._loop.time()
            await self._wire.listen(seconds)
            self._silent += self._loop.time() - begun
        messages = self._cut() if self._over is None else []
        if not messages and self._over is None and self._wire.transport is None:
            self._over = StreamEnded(f"{self.opened.name} closed the connection without a word.")
        if not messages and self._over:
            raise self._over
        return messages

    def send(self, text: bytes) -> None:
        """Send one message, UTF-8, unless it is over. Errors: TimedOut where the other side takes none."""
        if self._is_open:
            self._framing.send_text(text)
            self._flush()

    def watch(self) -> None:
        """Ask whether the other side is there where it has been silent; TimedOut where it does not say so.

        Only the time counts in which it was listened to: what it said meanwhile waits to be read.
        """
        if self._silent >= 2 * PING_SECONDS:
            raise TimedOut(f"{self.opened.name} did not answer a ping within {PING_SECONDS:g} seconds.")
        if self._silent >= PING_SECONDS and not self._asked and self._is_open:
            self._asked = True
            self._framing.send_ping(b"")
            self._flush()

    async def close(self, seconds: float) -> None:
        """Say that it is over, and wait up to `seconds` for the other side to say so too."""
        try:
            if self._is_open and self._wire.transport is not None:
                self._framing.send_close(1000)
                self._flush()
                async with asyncio.timeout(seconds):
                    while self._over is None and await self._wire.more():
                        self._cut()
        except (TimeoutError, TimedOut):
            return
        finally:
            self.opened.drop()

    @property
    def _is_open(self) -> bool:
        return self._over is None and self._framing.state is State.OPEN

    def _cut(self) -> list[bytes]:
        """The messages that are whole."""
        framing, came = self._framing, self._wire.came
        if came:
            self._silent, self._asked = 0.0, False
            framing.receive_data(bytes(came))
            came.clear()
        messages = list(self._join(framing.events_received()))
        if framing.close_rcvd and self._over is None:
            code, reason = framing.close_rcvd.code, framing.close_rcvd.reason
            self._over = StreamEnded(
                f"{self.opened.name} closed the connection ({code}).", ended=code, reason=reason
            )
        if framing.parser_exc and self._over is None:
            self._over = ProtocolFailed(
                f"{self.opened.name} broke the protocol of WebSocket: {framing.parser_exc}."
            )
        self._flush()
        return messages

    def _join(self, events: Iterable[object]) -> Iterable[bytes]:
        for frame in events:
            if not isinstance(frame, Frame) or frame.opcode not in DATA_OPCODES:
                continue
            if frame.fin and not self._parts:
                yield bytes(frame.data)
                continue
            self._parts.append(bytes(frame.data))
            if len(self._parts) > MOST_FRAGMENTS:
                self._over = ProtocolFailed(
                    f"{self.opened.name} sent a message in more than {MOST_FRAGMENTS:,} fragments."
                )
                return
            if frame.fin:
                parts, self._parts = self._parts, []
                yield b"".join(parts)

    def _flush(self) -> None:
        data = self._framing.data_to_send()
        transport = self._wire.transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES:
            raise TimedOut(f"{self.opened.name} does not take what is sent to it.")
        pongs = [each for each in data if each and each[0] & 15 == Opcode.PONG]
        # Of several pings the last one is answered, as RFC 6455 allows: who floods us is not flooded back.
        kept = [each for each in data if each not in pongs[:-1]]
        if kept:
            transport.write(b"".join(kept))


async def open_websocket(
    transport: Transport, request: OutboundRequest, subprotocols: Sequence[str], limit: int
) -> WebSocket:
    """Ask for a WebSocket with one of `subprotocols`; `limit` is the most bytes of a message.

    Errors: StreamRefused, ProtocolFailed where what is agreed on is not what was offered; those of any request.
    """
    offered = [Subprotocol(each) for each in subprotocols]
    # Of the address only the form matters: where the request goes, and its Host, is our client's to say.
    handshake = ClientProtocol(parse_uri("wss://host/"), subprotocols=offered, logger=_log)
    asked = {name: value for name, value in handshake.connect().headers.raw_items() if name != "Host"}
    whole = replace(request, headers={**request.headers, **asked})
    opened = await open_reply(transport, whole, HTTPStatus.SWITCHING_PROTOCOLS)
    told = Headers(list(opened.head.headers.items()))
    try:
        handshake.process_response(Response(HTTPStatus.SWITCHING_PROTOCOLS, "", told))
    except InvalidHandshake as invalid:
        objection = str(invalid)
    else:
        if handshake.subprotocol:
            return WebSocket(opened, handshake.subprotocol, limit)
        objection = f"it chose none of the subprotocols {', '.join(subprotocols)}"
    opened.drop()
    raise ProtocolFailed(f"{opened.name} agreed to no WebSocket as it was asked for: {objection}.")
