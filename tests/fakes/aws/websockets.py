"""The data endpoint's WebSockets: the signature in the address is checked, then a mosquitto speaks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler


def refuse_socket(status: int) -> bytes:
    """What is answered in place of a WebSocket."""
    return b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % status


class Upgrading(BaseHTTPRequestHandler):
    """Gives requests for a WebSocket to `upgrade`: its connection, headers and target."""

    upgrade: Callable[[socket.socket, dict[str, str], str], None]

    def parse_request(self) -> bool:
        """As its base; what wants a WebSocket is no request any more."""
        if not super().parse_request():
            return False
        if self.headers.get("Upgrade", "").lower() != "websocket":
            return True
        self.close_connection = True
        self.upgrade(self.connection, dict(self.headers.items()), self.path)
        return False


def relay_websocket(client: socket.socket, headers: Mapping[str, str], port: int) -> None:
    """Hand the request on to the broker's listener on `port`, and then whatever comes, until one side closes."""
    with socket.create_connection(("127.0.0.1", port)) as broker:
        request = ["GET /mqtt HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        broker.sendall("\r\n".join((*request, "", "")).encode())
        back = threading.Thread(target=_pump, args=(broker, client))
        back.start()
        _pump(client, broker)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
