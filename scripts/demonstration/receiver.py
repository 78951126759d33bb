"""A local webhook endpoint that remembers which deliveries it has answered, and what they said."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


class Receiver:
    """Answers every POST with 200 and keeps its webhook-id and body; use it in a `with`."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.bodies.append(orjson.loads(body))
                receiver.received.append(self.headers.get("webhook-id", ""))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
                """Keep the terminal for the demo."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def forget(self) -> list[dict[str, Any]]:
        """The bodies so far, which are not kept any longer."""
        self.received.clear()
        return [self.bodies.pop(0) for _ in range(len(self.bodies))]

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
