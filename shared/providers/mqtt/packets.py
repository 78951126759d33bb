"""The socket between paho and the network: it takes incoming PUBLISH packets out in bulk.

paho reads each packet with four system calls and builds an object with a lock for it, which bounds a session to
about 20,000 messages a second and a core. Here the network is read in large pieces; complete PUBLISH packets are
cut out of them, every other packet goes on to paho, which keeps the connection: CONNECT, SUBSCRIBE, PING, its own
publishes. What is sent is gathered and goes out with `flush`.
"""

from __future__ import annotations

import select
import ssl
import time
from typing import Protocol

from shared.provider import MESSAGE_LIMIT, SMALL, load_reading_budget
from shared.providers.mqtt.publish import Publish, read_length, read_publish

READ_BYTES = 65_536
READ_AT_ONCE = 262_144
SMALLEST_PACKET = 2
LARGEST_HELD = MESSAGE_LIMIT + READ_AT_ONCE
LINGER_PAUSE_SECONDS = 0.002
FULL_PAUSE_SECONDS = 0.02

_PUBLISH = 0x30
_PINGRESP = 0xD0
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Socket(Protocol):
    """What paho and we need of a connection: a TCP or TLS socket or paho's WebSocket."""

    def recv(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty at the end."""

    def send(self, data: bytes, /) -> int:
        """How many bytes were taken."""

    def close(self) -> None:
        """Close at once."""

    def fileno(self) -> int:
        """For polling."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - the socket module's signature
        """Whether calls wait."""


class Stream:
    """A non-blocking connection in the shape paho expects of a socket."""

    def __init__(self, inner: Socket, *, has_properties: bool, owner: str = "") -> None:
        self._inner = inner
        self._has_properties = has_properties
        self._incoming = b""
        self._holding = load_reading_budget().open(owner)
        self._skip = 0
        self._control = bytearray()
        self._outgoing = bytearray()
        self.publishes: list[Publish] = []
        self.pongs = 0
        self.has_more = False
        self.lingering = 0.0
        self.heard = False
        self.ended = False
        self.failure: OSError | None = None

    def fill(self) -> None:
        """Read what the network has, up to a limit, and sort it into `publishes` and packets for paho.

        Nothing, after a pause, while there is no memory left for the rest of a large packet.
        """
        if not self._find_room():
            self.has_more = False
            time.sleep(FULL_PAUSE_SECONDS)
            return
        pieces = [self._incoming]
        taken = 0
        self.has_more = True
        while taken < READ_AT_ONCE and not self.ended:
            piece = self._receive()
            if piece is None:
                self.has_more = False
                break
            self.ended = not piece
            pieces.append(piece)
            taken += len(piece)
        if taken:
            try:
                self._incoming = self._sort_packets(b"".join(pieces))
            except (IndexError, ValueError):
                self.ended, self.failure = True, OSError("a packet was not MQTT")
        if self.ended or len(self._incoming) <= SMALL:
            self._holding.close()

    def _find_room(self) -> bool:
        """Whether to read on; for a packet that has begun all of its memory is taken at once, so that it can end."""
        if len(self._incoming) <= SMALL or self._holding.size:
            return True
        has_room = self._holding.has_room(LARGEST_HELD)
        if has_room:
            self._holding.hold(LARGEST_HELD)
        return has_room

    @property
    def has_control(self) -> bool:
        """Whether paho has a packet, or the end, to read."""
        return bool(self._control) or self.ended

    def flush(self) -> None:
        """Send what the network takes now."""
        try:
            while self._outgoing and not self.ended:
                # Bytes, as paho's WebSocket masks what it is given in place.
                sent = self._inner.send(bytes(self._outgoing))
                del self._outgoing[:sent]
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self.ended, self.failure = True, self.failure or error

    def recv(self, size: int) -> bytes:
        """paho's side: bytes of the packets that are its own."""
        if not self._control:
            if self.ended:
                return b""
            raise BlockingIOError
        taken = bytes(self._control[:size])
        del self._control[:size]
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """paho's side: everything is taken, and goes out with the next `flush`."""
        self._outgoing += data
        return len(data)

    def close(self) -> None:
        """Close at once, or, with `lingering` seconds, once all is sent and the other side has closed too.

        Closing with unread bytes resets the connection, and the other side may then miss what was sent last. And one
        that has much to send reads nothing as long as we take everything, so that is done with pauses. `heard` says
        afterwards whether the other side has closed, and so has read all.
        """
        ends = time.monotonic() + self.lingering
        self.lingering = 0.0
        while not self.ended and (left := ends - time.monotonic()) > 0:
            self.flush()
            self.wait(left)
            piece = self._receive()
            self.ended = piece == b""
            if piece:
                time.sleep(LINGER_PAUSE_SECONDS)
            self.heard = self.ended and self.failure is None
        self.ended = True
        self._holding.close()
        self._inner.close()

    def wait(self, timeout: float) -> None:
        """Until the network has something to read, takes something, or `timeout` seconds have passed."""
        poller = select.poll()
        poller.register(self._inner.fileno(), select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        poller.poll(timeout * 1000)

    def fileno(self) -> int:
        """For polling."""
        return self._inner.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the socket module's signature
        """paho's side: whether the network is waited for."""
        self._inner.setblocking(flag)

    def _receive(self) -> bytes | None:
        try:
            return self._inner.recv(READ_BYTES)
        except _WOULD_BLOCK:
            return None
        except OSError as error:
            self.failure = self.failure or error
            return b""

    def _sort_packets(self, data: bytes) -> bytes:
        """Sort the complete packets of `data`; the rest, which is the beginning of a packet."""
        position = min(self._skip, len(data))
        self._skip -= position
        while len(data) - position >= SMALLEST_PACKET:
            head, size = read_length(data, position)
            stop = head + size
            if not head or (stop > len(data) and (size <= LARGEST_HELD or len(data) - head < READ_AT_ONCE)):
                break
            if data[position] & 0xF0 == _PUBLISH:
                self.publishes.append(
                    read_publish(data, position, head, stop, has_properties=self._has_properties)
                )
            else:
                self._control += data[position:stop]
                self.pongs += data[position] == _PINGRESP
            self._skip = max(0, stop - len(data))
            position = stop - self._skip
        return data[position:]
