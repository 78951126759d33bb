"""Between sessions and their broker: looks, before it lets an acknowledgement pass, whether the message is stored."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

PUBLISH, PUBACK, DISCONNECT = 0x30, 0x40, 0xE0
NUMBER = re.compile(rb'"temperature": (\d+)')

Look = Callable[[list[bytes]], list[bytes]]
"""What is done with the packets that come one way; what it gives back goes on."""


@dataclass
class Connection:
    """One connection of a session: what came and was acknowledged on it, and when it began and ended."""

    readings: dict[int, int] = field(default_factory=dict)
    delivered: int = 0
    acknowledged: int = 0
    opened_at: float = field(default_factory=time.time)
    ended_at: float | None = None


class AckWatch:
    """A relay to `broker_port` on `port`. `early` has the readings that were acknowledged before they were stored.

    `find_missing` says which of some readings are not stored. Use it in a `with`. While `holds`, a session is not told
    that the broker has ended its connection.
    """

    def __init__(self, broker_port: int, find_missing: Callable[[list[int]], list[int]]) -> None:
        self.early: list[int] = []
        self.connections: list[Connection] = []
        self.holds = False
        self._broker_port = broker_port
        self._find_missing = find_missing
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets = [self._server]
        self._threads = [threading.Thread(target=self._accept_all)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        _end_all(self._sockets)
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()

    def _accept_all(self) -> None:
        while True:
            try:
                session, _ = self._server.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:
                session.close()  # as a broker that is down
                continue
            self._sockets += [session, broker]
            connection = Connection()
            self.connections.append(connection)
            self._start(self._relay_publishes, broker, session, connection)
            self._start(self._relay_acknowledgements, session, broker, connection)

    def _start(self, relay: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=relay, args=arguments))
        self._threads[-1].start()

    def _relay_publishes(self, broker: socket.socket, session: socket.socket, connection: Connection) -> None:
        self._relay(broker, session, lambda packets: self._see_publishes(packets, connection))
        if not self.holds:
            _end_all([session])

    def _relay_acknowledgements(
        self, session: socket.socket, broker: socket.socket, connection: Connection
    ) -> None:
        self._relay(session, broker, lambda packets: self._see_acknowledgements(packets, connection))
        connection.ended_at = time.time()
        _end_all([session, broker])

    def _relay(self, source: socket.socket, target: socket.socket, look: Look) -> None:
        rest = b""
        with suppress(OSError):  # one side is gone
            while data := source.recv(65_536):
                packets, rest = _cut_packets(rest + data)
                with suppress(*[BrokenPipeError] if self.holds else []):
                    target.sendall(b"".join(look(packets)))

    def _see_publishes(self, packets: list[bytes], connection: Connection) -> list[bytes]:
        for packet in packets:
            found = NUMBER.search(packet)
            if packet[0] & 0xF0 == PUBLISH and found:
                start = _find_content(packet)
                start += 2 + int.from_bytes(packet[start : start + 2], "big")
                connection.readings[int.from_bytes(packet[start : start + 2], "big")] = int(found[1])
                connection.delivered += 1
        return [packet for packet in packets if not (self.holds and packet[0] == DISCONNECT)]

    def _see_acknowledgements(self, packets: list[bytes], connection: Connection) -> list[bytes]:
        heard = [int.from_bytes(packet[2:4], "big") for packet in packets if packet[0] & 0xF0 == PUBACK]
        known = [connection.readings.pop(each) for each in heard if each in connection.readings]
        if known:
            connection.acknowledged += len(known)
            self.early += self._find_missing(known)
        return packets


def _end_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _cut_packets(data: bytes) -> tuple[list[bytes], bytes]:
    """The complete packets in `data`, and what is left."""
    packets, position = [], 0
    while end := _find_end(data, position):
        packets.append(data[position:end])
        position = end
    return packets, data[position:]


def _find_end(data: bytes, position: int) -> int:
    """Where the packet at `position` ends; 0 where it is not complete."""
    size = shift = 0
    for index in range(position + 1, min(position + 5, len(data))):
        size |= (data[index] & 0x7F) << shift
        shift += 7
        if data[index] < 0x80:
            end = index + 1 + size
            return end if end <= len(data) else 0
    return 0


def _find_content(packet: bytes) -> int:
    """Where what follows the length begins."""
    return next(index for index in range(1, 5) if packet[index] < 0x80) + 1
