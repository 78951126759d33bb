"""`/receive`: what is pushed to an integration of any type that takes it; contract: docs/api.md."""

from __future__ import annotations

from functions_framework import aio
from starlette.requests import Request

from shared.messages.receive import greet_sender
from shared.messages.routes import receivers
from shared.runtime.web.asgi import Reply, answer
from shared.runtime.web.routing import Router

router = Router("receive", receivers, greet=greet_sender)


@aio.http
async def receive(request: Request) -> Reply:
    """Entry point."""
    return await answer(router, request)
