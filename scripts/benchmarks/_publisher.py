"""Publishes with QoS 1 as fast as a broker takes it, which paho can't."""

from __future__ import annotations

import itertools
import os
import socket
import struct
from collections.abc import Iterable, Iterator

FILL_AT_ONCE = 8_000
TAKE_SECONDS = 60.0

_CONNACK_BYTES = _PUBACK_BYTES = 4
_DISCONNECT = b"\xe0\x00"


def publish_messages(port: int, messages: Iterable[tuple[str, bytes]], *, retain: bool = False) -> int:
    """Publish (topic, body) to the broker on that port of loopback; how many, once it has taken them all."""
    count, packets = 0, _make_packets(messages, retain=retain)
    with socket.create_connection(("127.0.0.1", port), TAKE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_make_connect())
        _read_exactly(connection, _CONNACK_BYTES)
        while part := list(itertools.islice(packets, FILL_AT_ONCE)):
            connection.sendall(b"".join(part))
            _read_exactly(connection, _PUBACK_BYTES * len(part))
            count += len(part)
        connection.sendall(_DISCONNECT)
    return count


def _make_connect() -> bytes:
    """MQTT 3.1.1, a clean session, under a client id of its own."""
    content = b"\x00\x04MQTT\x04\x02\x00\x00" + _write_text(f"publisher-{os.urandom(6).hex()}")
    return b"\x10" + _write_length(len(content)) + content


def _make_packets(messages: Iterable[tuple[str, bytes]], *, retain: bool) -> Iterator[bytes]:
    for number, (topic, body) in enumerate(messages):
        packet_id = struct.pack("!H", number % FILL_AT_ONCE + 1)
        content = _write_text(topic) + packet_id + body
        yield bytes([0x32 | retain]) + _write_length(len(content)) + content


def _write_text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _write_length(size: int) -> bytes:
    """MQTT's variable byte integer: seven bits a byte, the eighth says that another follows."""
    written = bytearray()
    while True:
        size, part = size >> 7, size & 0x7F
        written.append(part | (0x80 if size else 0))
        if not size:
            return bytes(written)


def _read_exactly(connection: socket.socket, size: int) -> None:
    while size:
        piece = connection.recv(size)
        if not piece:
            raise RuntimeError("The broker closed the connection.")
        size -= len(piece)
