"""A server that is told events in lines over TCP, and says of each line what becomes of it; with its own provider."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from typing import Any, Self

PROVIDER = '''
"""Lines: a publisher of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar

from shared.provider import (
    CommandRefused, Deadline, Event, Problem, ProviderRefused, Publisher, PublishOutcome, connect_checked,
)


class Lines(Publisher):
    """Events as lines of JSON over TCP, one for each recipient; each line is answered with a word and a reference."""

    label: ClassVar[str] = "Lines"
    docs: ClassVar[str] = "A server that is told events in lines."

    port: int
    recipients: tuple[str, ...] = ("",)

    def publish(self, events: Sequence[Event], deadline: Deadline) -> Iterator[PublishOutcome]:
        """All events over one connection."""
        connection = connect_checked("127.0.0.1", self.port, deadline.remaining())
        connection.settimeout(None)  # a defect: no deadline ends it
        with connection, connection.makefile("rw") as lines:
            for event in events:
                for recipient in self.recipients:
                    line = {"id": event.id, "to": recipient, "payload": event.payload}
                    print(json.dumps(line), file=lines, flush=True)
                    yield from self._read(event, recipient, lines.readline().strip())

    def _read(self, event: Event, recipient: str, answer: str) -> Iterator[PublishOutcome]:
        word, _, reference = answer.partition(" ")
        if word == "nonsense":
            yield "nonsense"
        elif word != "silence":
            problem = self._judge(word, reference)
            yield PublishOutcome(event.id, recipient, problem, None if problem else reference)

    def _judge(self, word: str, reference: str) -> Problem | None:
        match word:
            case "ok":
                return None
            case "later":
                return ProviderRefused("Not now.", answered=503)
            case "never":
                return CommandRefused(f"Never: {reference}.")
        raise ZeroDivisionError
'''

Judge = Callable[[dict[str, Any]], str]
"""What is answered to a line: `ok <reference>`, `later`, `never`, `silence`, `nonsense`, or what breaks it."""


class LineServer:
    """Keeps the lines of each connection; `judge` may take its time."""

    def __init__(self, judge: Judge = lambda line: f"ok {line['id']}") -> None:
        self.connections: list[list[dict[str, Any]]] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                lines: list[dict[str, Any]] = []
                outer.connections.append(lines)
                for text in self.rfile:
                    lines.append(json.loads(text))
                    self.wfile.write(f"{judge(lines[-1])}\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
