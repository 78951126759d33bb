"""The door of functions that are served by an event loop (ASGI), as functions-framework serves them."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response as StarletteResponse

from shared.runtime.web.aside import run_aside
from shared.runtime.web.responses import Response
from shared.runtime.web.routing import Router
from shared.runtime.web.streamed import Receive, Scope, Send, StreamedRequest

BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Reply(StarletteResponse):
    """A response that sends itself; of Starlette's it has no more than the type, which functions-framework wants."""

    def __init__(self, answered: Response) -> None:
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as of ASGI
        """Send it."""
        response, body = self._answered, self._answered.body
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
        if isinstance(body, bytes) and response.status not in BODILESS:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body})
        else:
            await _send_pieces(body, send)


async def answer(router: Router, request: Request) -> Reply:
    """Answer any request."""
    return Reply(await router.respond(StreamedRequest(request.scope, request.receive)))


async def _send_pieces(pieces: Iterator[bytes], send: Send) -> None:
    while (piece := await run_aside(next, pieces, None)) is not None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
