"""What is on the other side when it means no good: it says back whatever it was told, in many ways."""

from __future__ import annotations

import base64
import html
import json
import re
import socketserver
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from tests.fakes.background import InBackground
from tests.fakes.http_receiver import Answer, Received

REPLY_KEPT = 16_384
"""Bytes of a webhook's answer that are kept: what is cut off there is not all gone."""

CONNECT = 0x10
REFUSED = 0x87


def repeat_request(request: Received) -> str:
    """Everything about a request, as text."""
    lines = [
        f"{request.method} {request.path}",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    return "\n".join([*lines, "", request.body.decode(errors="replace")])


def _repeat_values(request: Received, write: Callable[[str], str]) -> str:
    words = [word for value in request.headers.values() for word in (value, *value.split())]
    return "\n".join(map(write, words))


def _write_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _write_base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cut_in_the_middle(request: Received) -> str:
    secrets = max(request.headers.values(), key=len)
    return "." * (REPLY_KEPT - len(secrets) // 2) + secrets


ECHOES: tuple[Callable[[Received], str], ...] = (
    repeat_request,
    lambda request: json.dumps({"headers": request.headers, "body": request.body.decode(errors="replace")}),
    lambda request: json.dumps(json.dumps(request.headers)),
    lambda request: html.escape(repeat_request(request)),
    lambda request: quote(repeat_request(request), safe=""),
    lambda request: _repeat_values(request, quote_plus),
    lambda request: _repeat_values(request, _write_base64),
    lambda request: _write_base64(repeat_request(request)),
    lambda request: _write_base64("." + repeat_request(request)),
    lambda request: _write_base64url(".." + repeat_request(request)),
    _cut_in_the_middle,
)


def answer_echo(status: int, request: Received, turn: int) -> Answer:
    """The echo of a turn, in the body, in headers and in where to go instead."""
    body = ECHOES[turn % len(ECHOES)](request).encode()
    spoken = re.sub(r"[^\x20-\x7e]", " ", request.headers.get("authorization", ""))
    return Answer(status, body, {"Location": f"/{spoken}", "X-Echo": spoken, "Retry-After": spoken or "1"})


class Parrot(InBackground):
    """Any protocol but HTTP, on a real socket: sends back what it receives. MQTT's CONNECT is refused in its own words.

    Use it in a `with`.
    """

    def __init__(self) -> None:
        self.heard = b""
        super().__init__(_Server(("127.0.0.1", 0), _make_handler(self)))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _make_handler(parrot: Parrot) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(5)
            try:
                while data := self.request.recv(65_536):
                    parrot.heard += data
                    self.request.sendall(_refuse_connect(data) if data[0] == CONNECT else data)
            except OSError:
                return

    return Handler


def _refuse_connect(packet: bytes) -> bytes:
    """A CONNACK of MQTT 5 whose reason string (property 0x1f) is what the client has just sent."""
    words = re.sub(rb"[^\x20-\x7e]", b" ", packet)[-100:]
    properties = b"\x1f" + len(words).to_bytes(2, "big") + words
    rest = bytes([0, REFUSED, len(properties)]) + properties
    return bytes([0x20, len(rest)]) + rest
