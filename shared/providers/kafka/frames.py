"""Frames: each answer of a broker is counted as it comes; a large one waits for memory, one too large ends it all."""

from __future__ import annotations

import asyncio

from shared.provider import SMALL, load_reading_budget

FRAME_BYTES = 33_554_432
"""Of one answer. A record batch that is larger than what was asked for comes whole: brokers take 1 MB, unless told."""

SIZE_BYTES = 4
AGAIN_SECONDS = 0.05


class Frames:
    """Between a connection and its protocol, which gets no more of a large answer than there is memory for.

    Brokers are asked side by side, and each may answer with more than it was asked for: what is not complete is
    counted in the budget of the process, as large packets of MQTT are. While there is no room, nothing is read.
    """

    def __init__(self, protocol: asyncio.StreamReaderProtocol, owner: str) -> None:
        self.protocol = protocol
        self._receive, self._lose = protocol.data_received, protocol.connection_lost
        self._holding = load_reading_budget().open(owner)
        self._left = 0
        self._size, self._waiting = bytearray(), bytearray()
        self._is_over = self._waits = False
        self._transport: asyncio.Transport | None = None
        protocol.data_received = self._take  # type: ignore[method-assign]
        protocol.connection_lost = self._end  # type: ignore[method-assign]

    def watch(self, transport: asyncio.Transport) -> None:
        """This is the connection."""
        self._transport = transport
        if self._is_over:
            transport.abort()

    def _end(self, exc: Exception | None) -> None:
        self._is_over = True
        self._holding.close()
        self._waiting.clear()
        self._lose(exc)

    def _take(self, data: bytes) -> None:
        if self._waits:
            # What was on its way already: the reader may have begun to read again, which it does once.
            self._waiting += data
            self._pause()
            return
        end = self._count(data)
        if end:
            self._receive(data[:end])
        if self._is_over and self._transport is not None:
            self._transport.abort()
        elif self._waits:
            self._waiting += data[end:]
            self._pause()
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._try_again)

    def _count(self, data: bytes) -> int:
        """How much of `data` may be handed on."""
        at = 0
        while at < len(data) and not self._is_over:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if not self._left:
                    self._holding.close()
                continue
            step = min(SIZE_BYTES - len(self._size), len(data) - at)
            self._size += data[at : at + step]
            at += step
            if len(self._size) == SIZE_BYTES:
                self._left = int.from_bytes(self._size, signed=True)
                self._size.clear()
                self._is_over = not 0 <= self._left <= FRAME_BYTES
                if not self._is_over and not self._find_room():
                    self._waits = True
                    return at
        return 0 if self._is_over else at

    def _find_room(self) -> bool:
        if self._left > SMALL:
            if not self._holding.has_room(self._left):
                return False
            self._holding.hold(self._left)
        return True

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _try_again(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._find_room():
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._try_again)
            return
        waiting, self._waiting, self._waits = bytes(self._waiting), bytearray(), False
        self._transport.resume_reading()
        self._take(waiting)
