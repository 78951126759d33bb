"""Frames on a pipe: four bytes of length, then as many bytes. Both sides use them; a child reads without a deadline."""

from __future__ import annotations

import os
import select
import time

FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes of one frame: batches are cut so that they stay well below it."""

_HEAD_BYTES = 4
_CHUNK = 65_536


class PipeBrokenError(Exception):
    """The other side has ended, or sent what is no frame."""


class PipeSilentError(Exception):
    """The other side did not read or write in time."""


def make_frame(content: bytes) -> bytes:
    """`content` with its length before it."""
    return len(content).to_bytes(_HEAD_BYTES) + content


def read_frame(descriptor: int, ends: float | None = None) -> bytes:
    """The next frame's content. `ends` is a moment of the monotonic clock, None to wait for ever."""
    size = int.from_bytes(_read_exactly(descriptor, _HEAD_BYTES, ends))
    if size > FRAME_LIMIT:
        raise PipeBrokenError(f"A frame of {size} bytes was announced.")
    return _read_exactly(descriptor, size, ends)


def write_frame(descriptor: int, content: bytes, ends: float | None = None) -> None:
    """Write `content` as one frame. With `ends` the descriptor has to be non-blocking."""
    left = memoryview(make_frame(content))
    while left:
        _wait(descriptor, select.POLLOUT, ends)
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            continue
        except OSError as error:
            raise PipeBrokenError(str(error)) from None


def _read_exactly(descriptor: int, size: int, ends: float | None) -> bytes:
    parts: list[bytes] = []
    while size:
        _wait(descriptor, select.POLLIN, ends)
        part = os.read(descriptor, min(size, _CHUNK))
        if not part:
            raise PipeBrokenError("The other side has closed the pipe.")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _wait(descriptor: int, event: int, ends: float | None) -> None:
    if ends is None:
        return  # a blocking descriptor waits by itself; a child that may open nothing could not poll either
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, ends - time.monotonic()) * 1000):
        raise PipeSilentError("The other side is silent.")
