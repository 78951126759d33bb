"""A webhook endpoint on a real socket: a thread a connection, every request kept, any answer given."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.background import InBackground


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint says to it."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpReceiver(InBackground):
    """Use it in a `with`: `url` is where to send, `requests` what came, in the order of arrival.

    `answer` may be replaced at any time and may take its time: every connection has a thread of its own.
    """

    def __init__(
        self, answer: Callable[[Received], Answer] = lambda _: Answer(), tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        server = _Server(("127.0.0.1", 0), _make_handler(self))
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        super().__init__(server)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/hook"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Who has heard enough may leave in the middle.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _make_handler(receiver: HttpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            receiver.requests.append(request)
            self._reply(receiver.answer(request))

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the base class's names

        def _reply(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
