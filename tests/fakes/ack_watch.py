"""Between a session and its broker: looks, before it lets an acknowledgement pass, whether the message is stored."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

PUBLISH, PUBACK = 0x30, 0x40
NUMBER = re.compile(rb'"temperature": (\d+)')


class AckWatch:
    """A relay to `broker_port` on `port`. `early` has the readings that were acknowledged before they were stored.

    `find_missing` says which of some readings are not stored. Use it in a `with`.
    """

    def __init__(self, broker_port: int, find_missing: Callable[[list[int]], list[int]]) -> None:
        self.acknowledged = 0
        self.early: list[int] = []
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
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
            self._sockets += [session, broker]
            readings: dict[int, int] = {}
            for source, target, look in (
                (broker, session, lambda packets, known=readings: self._see_publishes(packets, known)),
                (session, broker, lambda packets, known=readings: self._see_acknowledgements(packets, known)),
            ):
                self._threads.append(threading.Thread(target=_relay, args=(source, target, look)))
                self._threads[-1].start()

    def _see_publishes(self, packets: list[bytes], readings: dict[int, int]) -> None:
        for packet in packets:
            found = NUMBER.search(packet)
            if packet[0] & 0xF0 == PUBLISH and found:
                start = 2 + int.from_bytes(packet[2:4], "big") + 2
                readings[int.from_bytes(packet[start : start + 2], "big")] = int(found[1])

    def _see_acknowledgements(self, packets: list[bytes], readings: dict[int, int]) -> None:
        heard = [
            readings[int.from_bytes(packet[2:4], "big")] for packet in packets if packet[0] & 0xF0 == PUBACK
        ]
        if heard:
            self.acknowledged += len(heard)
            self.early += self._find_missing(heard)


def _relay(source: socket.socket, target: socket.socket, look: Callable[[list[bytes]], None]) -> None:
    rest = b""
    try:
        while data := source.recv(65_536):
            *packets, rest = _cut_packets(rest + data)
            look(packets)
            target.sendall(b"".join(packets))
    except OSError:
        rest = b""  # one side is gone; the other is told below
    finally:
        _end_all([source, target])


def _end_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _cut_packets(data: bytes) -> Iterator[bytes]:
    """The complete packets in `data`, and last what is left; each has a length of one byte."""
    position = 0
    while position + 2 <= len(data) and position + 2 + data[position + 1] <= len(data):
        assert data[position + 1] < 128, "readings are short"
        end = position + 2 + data[position + 1]
        yield data[position:end]
        position = end
    yield data[position:]
