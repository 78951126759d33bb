"""A function that is served by ASGI, behind the WSGI of the local stack's one port: on an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from shared.runtime.web.front import AsyncApplication
from shared.runtime.web.streamed import Event, Receive, Scope

CHUNK = 65_536
READERS = 32
_starting = threading.Lock()


class Bridge:
    """A WSGI application."""

    def __init__(self, application: AsyncApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; the answer is all there before any of it is sent."""
        answer = _Answer()
        work = self._application(_make_scope(environ), _make_receive(environ), answer.send)
        asyncio.run_coroutine_threadsafe(_finish(work), _find_loop()).result()
        status = HTTPStatus(answer.status)
        start_response(f"{status.value} {status.phrase}", answer.headers)
        return [answer.body]


class _Answer:
    """What was sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.headers = [
                (name.decode("latin-1").title(), value.decode("latin-1")) for name, value in event["headers"]
            ]
        else:
            self.body += event.get("body", b"")


def _find_loop() -> asyncio.AbstractEventLoop:
    """The one of this process: those who wait for one another have to be on the same."""
    with _starting:
        return _start_loop()


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    """Begun at first use, for none outlives a fork."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="functions", daemon=True).start()
    return loop


@cache
def _start_readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(READERS, "bodies")


async def _finish(work: object) -> None:
    await work  # type: ignore[misc] # any awaitable, where run_coroutine_threadsafe wants a coroutine


def _make_scope(environ: WSGIEnvironment) -> Scope:
    headers = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
    headers += [(name, environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": [
            (name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
        ],
        "client": (environ.get("REMOTE_ADDR", ""), 0),
    }


def _make_receive(environ: WSGIEnvironment) -> Receive:
    """Read by other threads, for a sender may take its time."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    is_chunked = "HTTP_TRANSFER_ENCODING" in environ

    async def receive() -> Event:
        nonlocal left
        size = CHUNK if is_chunked else min(CHUNK, left)
        read = partial(environ["wsgi.input"].read, size)
        chunk = await asyncio.get_running_loop().run_in_executor(_start_readers(), read) if size else b""
        left -= len(chunk)
        if size and not chunk and not is_chunked:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk) if is_chunked else left > 0}

    return receive
