"""Answers of servers that mean harm, or are merely broken."""

from __future__ import annotations

import asyncio
import gzip

from tests.fakes.http_server import answer_bytes

GZIP_BOMB = gzip.compress(bytes(10_000_000))
"""Ten kilobytes that would expand to ten megabytes."""


async def never_answer(writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing until the other side hangs up."""
    await writer.wait_closed()


async def drip_head(writer: asyncio.StreamWriter) -> None:
    """A head that comes one byte per 0.2 s, so that no single read ever takes long."""
    await _drip(writer, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100)


async def drip_headers(writer: asyncio.StreamWriter) -> None:
    """A prompt status, then headers of one byte per 0.2 s."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\n")
    await _drip(writer, b"X-Slow: 1\r\n" * 100)


async def drip_body(writer: asyncio.StreamWriter) -> None:
    """A prompt head, then a body of one byte per 0.2 s."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    await _drip(writer, b"x" * 1000)


async def send_endlessly(writer: asyncio.StreamWriter) -> None:
    """A body without end, as fast as it is taken."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await answer_bytes(writer, b"x" * 65_536)


async def announce_gigabyte(writer: asyncio.StreamWriter) -> None:
    """A body announced as 1 GB, sent as fast as it is taken."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        await answer_bytes(writer, b"x" * 65_536)


async def send_gzip_bomb(writer: asyncio.StreamWriter) -> None:
    """A small compressed body that would expand to a large one, unasked."""
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(GZIP_BOMB)}\r\n\r\n"
    await answer_bytes(writer, head.encode() + GZIP_BOMB)


async def send_many_headers(writer: asyncio.StreamWriter) -> None:
    """10,000 headers."""
    lines = "".join(f"X-{number}: {number}\r\n" for number in range(10_000))
    await answer_bytes(writer, f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode())


async def send_endless_header(writer: asyncio.StreamWriter) -> None:
    """One header whose value never ends."""
    await answer_bytes(writer, b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await answer_bytes(writer, b"x" * 65_536)


async def send_endless_interim(writer: asyncio.StreamWriter) -> None:
    """`100 Continue` for ever, never the reply itself."""
    while True:
        await answer_bytes(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


async def _drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    for byte in text:
        await answer_bytes(writer, bytes([byte]))
        await asyncio.sleep(0.2)
