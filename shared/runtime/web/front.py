"""What stands before a function, whichever server it has: its probes, and the trace its log lines belong to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson

from shared.runtime.database.access import check_access, name_key
from shared.runtime.errors import Problem
from shared.runtime.log import bind_trace
from shared.runtime.web.streamed import Receive, Scope, Send

READY_SECONDS = 5.0
"""How long an answer of `/ready` holds: probes of many instances must not become a load of the database."""

READY = "/ready"
PROBES = frozenset({"/health", READY})

AsyncApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Probes:
    """`/health` and `/ready` of the function of that name."""

    def __init__(self, name: str) -> None:
        self._key = name_key(name)
        self._ready: tuple[float, str] = (float("-inf"), "")

    def answer(self, path: str) -> tuple[HTTPStatus, list[tuple[str, str]], bytes]:
        """Status, headers and body."""
        objection = self._find_objection() if path == READY else ""
        status = HTTPStatus.SERVICE_UNAVAILABLE if objection else HTTPStatus.OK
        body = orjson.dumps({"ok": not objection} | ({"detail": objection} if objection else {}))
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return status, [*headers, ("Cache-Control", "no-store")], body

    def _find_objection(self) -> str:
        asked, objection = self._ready
        if time.monotonic() - asked > READY_SECONDS:
            objection = _ask_project(self._key)
            self._ready = (time.monotonic(), objection)
        return objection


class Front:
    """Before a function that is served by WSGI."""

    def __init__(self, function: WSGIApplication, probes: Probes) -> None:
        self._function = function
        self._probes = probes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        bind_trace(environ.get("HTTP_TRACEPARENT", ""))
        path = environ.get("PATH_INFO", "")
        if path not in PROBES or environ["REQUEST_METHOD"] == "OPTIONS":
            return self._function(environ, start_response)
        status, headers, body = self._probes.answer(path)
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]


class AsyncFront:
    """Before a function that is served by ASGI; its trace is bound with its id, by the router."""

    def __init__(self, function: AsyncApplication, probes: Probes) -> None:
        self._function = function
        self._probes = probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope.get("path") not in PROBES or scope["method"] == "OPTIONS":
            await self._function(scope, receive, send)
            return
        # In none of the threads that `aside` counts: those may all be waiting for somebody's codec. Nor in any where
        # nobody is asked, for others may all be waiting for the project.
        ask = partial(self._probes.answer, scope["path"])
        status, headers, body = await asyncio.to_thread(ask) if scope["path"] == READY else ask()
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": int(status), "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def _ask_project(key: str) -> str:
    try:
        check_access(key)
    except Problem as problem:
        return problem.detail
    return ""
