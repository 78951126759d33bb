"""Refuses MQTT 5 clients before amqtt 0.12.1 sees them: it takes their properties for a client id and never answers.

The answer is the one MQTT 3.1.1 section 3.1.2.2 asks for, so that a client falls back to 3.1.1 at once.
"""

from __future__ import annotations

import asyncio
import contextlib

from amqtt.adapters import ReaderAdapter

CONNECT = 1
SUPPORTED_LEVEL = 4  # MQTT 3.1.1
REFUSAL = bytes([0x20, 2, 0, 1])  # CONNACK "unacceptable protocol version"


class RewoundReader(ReaderAdapter):  # type: ignore[misc] # amqtt is not typed
    """A reader that begins with bytes already read."""

    def __init__(self, start: bytes, reader: asyncio.StreamReader) -> None:
        self._start = start
        self._reader = reader

    async def read(self, n: int = -1) -> bytes:
        """The next n bytes; all until the end where n is negative."""
        if n < 0:
            return self._start + await self._reader.read()
        taken, self._start = self._start[:n], self._start[n:]
        return taken + await self._reader.readexactly(n - len(taken))

    def feed_eof(self) -> None:
        """Passes the end on."""
        self._reader.feed_eof()


async def check_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ReaderAdapter | None:
    """The connection for amqtt, from its beginning; None when the client was refused or has gone."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        start, level = await _read_level(reader)
        if level == SUPPORTED_LEVEL:
            return RewoundReader(start, reader)
        writer.write(REFUSAL)
        await writer.drain()
    writer.close()
    return None


async def _read_level(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """The packet up to its protocol level; what is no CONNECT is left to amqtt, which knows how to refuse it."""
    start = await reader.readexactly(2)
    if start[0] >> 4 != CONNECT:
        return start, SUPPORTED_LEVEL
    while start[-1] & 0x80:
        start += await reader.readexactly(1)
    name_length = await reader.readexactly(2)
    rest = await reader.readexactly(int.from_bytes(name_length) + 1)
    return start + name_length + rest, rest[-1]
