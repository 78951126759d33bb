"""WebSocket frames (RFC 6455): written masked, as clients do, and read whole, to a limit that holds before one is kept.

No extension is agreed on, compression neither: a few bytes can't become many.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GOING, BROKEN_PROTOCOL, TOO_LARGE = 1000, 1002, 1009

MOST_FRAGMENTS = 1_000
"""Of one message; nobody sends more, but who wants to be waited for."""

CONTROL_BYTES = 125
_CONTINUATION = 0
_CONTROLS = frozenset((CLOSE, PING, PONG))
_KNOWN = _CONTROLS | {_CONTINUATION, TEXT, BINARY}
_LONG, _LONGEST = 126, 127


class FrameError(Exception):
    """What came is not what RFC 6455 has: the code to close with, and words that go on from the host's name."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Frame(NamedTuple):
    """A whole message, put together of its fragments, or a control frame."""

    opcode: int
    body: bytes


class FrameReader:
    """Cuts messages out of `came`, what a connection brought; `limit` is the most bytes of one.

    `wanted` is how many bytes the message that has begun needs in all, as far as it has said so.
    """

    def __init__(self, came: bytearray, limit: int) -> None:
        self.wanted = 0
        self._came = came
        self._limit = limit
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def read(self) -> Frame | None:
        """The next message or control frame; None where it is not all there yet. Errors: FrameError."""
        while (taken := self._take()) is not None:
            is_last, frame = taken
            if frame.opcode in _CONTROLS:
                return frame
            self._add(frame)
            if is_last:
                body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                whole = Frame(self._opcode, body)
                self._opcode, self._parts, self._size = 0, [], 0
                return whole
        return None

    def _add(self, frame: Frame) -> None:
        if (frame.opcode == _CONTINUATION) != bool(self._opcode):
            raise FrameError(BROKEN_PROTOCOL, "mixed up the fragments of its messages")
        if len(self._parts) >= MOST_FRAGMENTS:
            raise FrameError(TOO_LARGE, f"sent a message in more than {MOST_FRAGMENTS:,} fragments")
        self._opcode = self._opcode or frame.opcode
        self._parts.append(frame.body)
        self._size += len(frame.body)

    def _take(self) -> tuple[bool, Frame] | None:
        came = self._came
        self.wanted = 0
        if len(came) < 2:  # noqa: PLR2004 - the shortest head
            return None
        first, second = came[0], came[1]
        opcode = first & 15
        if first & 0x70 or second & 0x80 or opcode not in _KNOWN:
            raise FrameError(BROKEN_PROTOCOL, _explain_head(first, second))
        head = _measure_head(second & 127)
        if len(came) < head:
            return None
        length = _read_length(came, second & 127)
        if opcode in _CONTROLS:
            if length > CONTROL_BYTES or not first & 0x80:
                raise FrameError(BROKEN_PROTOCOL, "sent a control frame that is none")
        elif self._size + length > self._limit:
            raise FrameError(
                TOO_LARGE,
                f"sent a message of {self._size + length:,} bytes; at most {self._limit:,} are read",
            )
        if len(came) < head + length:
            self.wanted = head + length
            return None
        body = bytes(came[head : head + length])
        del came[: head + length]
        return bool(first & 0x80), Frame(opcode, body)


def write_frame(opcode: int, body: bytes = b"") -> bytes:
    """A frame of a client, masked with four random bytes."""
    length = len(body)
    if length < _LONG:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | _LONG, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | _LONGEST, length)
    mask = os.urandom(4)
    pad = (mask * (length // 4 + 1))[:length]
    masked = (int.from_bytes(body) ^ int.from_bytes(pad)).to_bytes(length)
    return head + mask + masked


def write_close(code: int) -> bytes:
    """The frame that ends a connection."""
    return write_frame(CLOSE, struct.pack("!H", code))


def read_close(body: bytes) -> tuple[int, str]:
    """The code and the reason of a frame that ends a connection; 1005 where it says none."""
    if len(body) < 2:  # noqa: PLR2004 - a code has two bytes
        return 1005, ""
    return int.from_bytes(body[:2]), body[2:].decode(errors="replace")


def _measure_head(length: int) -> int:
    return 2 + {_LONG: 2, _LONGEST: 8}.get(length, 0)


def _read_length(came: bytearray, length: int) -> int:
    return int.from_bytes(came[2 : _measure_head(length)]) if length >= _LONG else length


def _explain_head(first: int, second: int) -> str:
    if first & 0x70:
        return "sent a frame by an extension that was not agreed on, compressed, say"
    if second & 0x80:
        return "sent a masked frame, as only clients do"
    return f"sent a frame of the unknown kind {first & 15}"
