"""/realtime/v1: tells supabase-js's Realtime why it gets nothing here, so that it gives up instead of trying for ever.

A channel that joins gets an error with the reason and is closed; the connection stays for as long as the page wants it.
Source: the message formats 1.0.0 and 2.0.0 of Phoenix channels, as the repository supabase/realtime-js writes them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.sync.connection import Connection
from websockets.utils import accept_key

from scripts.local.edge import refuse

REASON = (
    "The local stack (scripts/serve) has no Realtime: read the tables again from time to time, "
    "or use a Supabase project, which has it for the tables that docs/api.md names."
)
CONNECTIONS = 256
LARGEST = 65536


class Realtime:
    """The application. A connection leaves the server's threads: they are for requests."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Takes a WebSocket over; refuses everything else."""
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY")
        if environ["PATH_INFO"] != "/websocket" or not key:
            return refuse(501, "NOT_SUPPORTED", REASON)(environ, start_response)
        if not self._places.acquire(blocking=False):
            return refuse(503, "WORKER_LIMIT", "Too many Realtime connections")(environ, start_response)
        connection = _take_over(environ["gunicorn.socket"])
        threading.Thread(target=self._serve, args=(connection, key), daemon=True).start()
        # How an application tells gunicorn that it has nothing more to say to this client.
        raise BrokenPipeError(errno.EPIPE, "the connection was taken over")

    def _serve(self, connection: socket.socket, key: str) -> None:
        try:
            with connection, contextlib.suppress(OSError, ConnectionClosed):
                connection.sendall(_accept_upgrade(key))
                page = Connection(connection, ServerProtocol(state=State.OPEN, max_size=LARGEST))
                for message in page:
                    for answer in answer_message(message):
                        page.send(answer)
        finally:
            self._places.release()


def _take_over(connection: socket.socket) -> socket.socket:
    """The connection; the server gets another socket to shut down, as that would be felt in any copy of this one."""
    ours = connection.dup()
    for end in socket.socketpair():
        with end:
            os.dup2(end.fileno(), connection.fileno())
    return ours


def _accept_upgrade(key: str) -> bytes:
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", "", ""]).encode()


def answer_message(content: str | bytes) -> Iterator[str]:
    """What a message gets, in the format it came in: heartbeats and farewells an ok, a join the reason and the end."""
    try:
        message = json.loads(content)
        if isinstance(message, list):
            join_ref, ref, topic, event = message[:4]
        else:
            join_ref, ref, topic, event = (
                message.get(name) for name in ("join_ref", "ref", "topic", "event")
            )
    except (ValueError, AttributeError):
        return

    def write(ref: object, event: str, payload: object) -> str:
        if isinstance(message, list):
            return json.dumps([join_ref, ref, topic, event, payload])
        return json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref})

    refused = event == "phx_join"
    if ref is not None:
        response = {"reason": REASON} if refused else {}
        yield write(ref, "phx_reply", {"status": "error" if refused else "ok", "response": response})
    if refused:
        yield write(join_ref or ref, "phx_close", {})
