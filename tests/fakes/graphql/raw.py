"""A server that speaks WebSocket as badly as it is told: each connection is handed to a script once it is switched."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import socketserver
import struct
from collections.abc import Callable
from typing import Any

from tests.fakes.background import InBackground

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TRANSPORT_WS = "graphql-transport-ws"


class Peer:
    """The other end of one connection, after its request was read."""

    def __init__(self, connection: socket.socket, head: str, body: bytes) -> None:
        self.connection, self.head, self.body = connection, head, body

    def switch(self, subprotocol: str = TRANSPORT_WS, **headers: str) -> None:
        """Switch to WebSocket."""
        found = re.search(r"(?im)^sec-websocket-key: (\S+)", self.head)
        key = found[1] if found else ""
        accept = base64.b64encode(hashlib.sha1(f"{key}{GUID}".encode()).digest()).decode()  # noqa: S324 - RFC 6455
        told = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept,
            "Sec-WebSocket-Protocol": subprotocol,
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
        self.send(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.connection.sendall(data)

    def say(self, *messages: dict[str, Any]) -> None:
        """Messages of the protocol."""
        for message in messages:
            self.send(frame(json.dumps(message).encode()))

    def acknowledge(self) -> None:
        """Switch, and take the connection and the subscription."""
        self.switch()
        self.read_frame()
        self.say({"type": "connection_ack"})
        self.read_frame()

    def tell(self, *data: Any) -> None:
        """Results of the subscription."""
        self.say(*({"id": "1", "type": "next", "payload": {"data": each}} for each in data))

    def read_frame(self) -> bytes:
        """What the client sent, unmasked; empty once it is gone."""
        head = self._read(2)
        length = head[1] & 127
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        mask = self._read(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._read(length)))

    def wait_end(self) -> None:
        """Until the client has gone."""
        while self.connection.recv(65_536):
            pass

    def _read(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            part = self.connection.recv(count - len(read))
            if not part:
                raise ConnectionError
            read += part
        return read


def frame(body: bytes, opcode: int = 1, first: int = 0x80) -> bytes:
    """A frame of a server."""
    length = len(body)
    if length < 126:
        return bytes((first | opcode, length)) + body
    if length < 65_536:
        return struct.pack("!BBH", first | opcode, 126, length) + body
    return struct.pack("!BBQ", first | opcode, 127, length) + body


class RawServer(InBackground):
    """Use it in a `with`: `url` is its address, `connections` how many there were; `script` is given each peer.

    A POST is answered by `answer`, which is given its JSON and gives the reply's.
    """

    def __init__(self, script: Callable[[Peer], None], answer: Callable[[Any], Any] | None = None) -> None:
        self.connections = 0
        server_of_all = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # Whoever is sent nonsense hangs up.
                with contextlib.suppress(OSError):
                    head, body = _read_request(self.request)
                    if head.startswith("POST") and answer is not None:
                        _reply(self.request, answer(json.loads(body)))
                        return
                    server_of_all.connections += 1
                    script(Peer(self.request, head, body))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, block_on_close = True, True, False

        super().__init__(Server(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}/graphql"


def _read_request(connection: socket.socket) -> tuple[str, bytes]:
    came = b""
    while b"\r\n\r\n" not in came:
        part = connection.recv(65_536)
        if not part:
            raise ConnectionError
        came += part
    head, _, body = came.partition(b"\r\n\r\n")
    found = re.search(rb"(?im)^content-length: (\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += connection.recv(65_536)
    return head.decode(), body


def _reply(connection: socket.socket, document: Any) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
