"""A broker that answers by a script: what real ones do rarely, or on other people's machines only."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 0x10, 0x80, 0xA0, 0xC0, 0xE0
CONNACK = b"\x20\x03\x00\x00\x00"
CONNACK_WITH_SESSION = b"\x20\x03\x01\x00\x00"
PINGRESP = b"\xd0\x00"
SUBACK_QOS_1 = b"\x90\x04\x00\x01\x00\x01"

Answer = bytes | Callable[[bytes], bytes]
"""What a packet is answered with, the same each time or by what is in it; only a goodbye closes the connection."""


@dataclass
class ScriptedBroker:
    """Where it listens, the type of each packet it was sent, and what was agreed on by ALPN on each connection."""

    port: int
    packets: list[int] = field(default_factory=list)
    agreed: list[str | None] = field(default_factory=list)


@contextmanager
def run_script(answers: Mapping[int, Answer], tls: ssl.SSLContext | None = None) -> Iterator[ScriptedBroker]:
    """A broker that answers each packet of a type (its first byte's upper half) with bytes, on every connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = ScriptedBroker(server.getsockname()[1])
        thread = threading.Thread(target=_accept_all, args=(server, answers, broker, tls))
        thread.start()
        try:
            yield broker
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def take_eight(packet: bytes) -> bytes:
    """As AWS IoT answers a SUBSCRIBE or UNSUBSCRIBE of MQTT 5: all that is asked, but no more than eight at once."""
    kind, body = packet[0] & 0xF0, packet[2 if packet[1] < 0x80 else 3 :]
    count, position = 0, 3
    while position < len(body):
        position += 2 + int.from_bytes(body[position : position + 2], "big") + (kind == SUBSCRIBE)
        count += 1
    codes = bytes([kind == SUBSCRIBE]) * count
    return bytes([kind + 0x10, 3 + count]) + body[:2] + b"\x00" + codes if count <= 8 else b""


def _accept_all(
    server: socket.socket, answers: Mapping[int, Answer], broker: ScriptedBroker, tls: ssl.SSLContext | None
) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with tls.wrap_socket(connection, server_side=True) if tls else connection as opened:
            if isinstance(opened, ssl.SSLSocket):
                broker.agreed.append(opened.selected_alpn_protocol())
            _answer_all(opened, answers, broker.packets)


def _answer_all(connection: socket.socket, answers: Mapping[int, Answer], packets: list[int]) -> None:
    connection.settimeout(10)
    while data := _receive(connection):
        # Each packet of these tests comes in one piece; paho sends them one by one.
        kind = data[0] & 0xF0
        packets.append(kind)
        if kind == DISCONNECT:
            return
        script = answers.get(kind)
        if script is None:
            continue
        answer = script(data) if callable(script) else script
        if not answer:
            return
        try:
            connection.sendall(answer)
        except OSError:
            # Whoever asked is gone; another may come.
            return


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""
