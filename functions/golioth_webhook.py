"""`/golioth-webhook`: what Golioth's pipelines push to an integration of theirs; contract: docs/api.md."""

from __future__ import annotations

from functions_framework import aio
from starlette.requests import Request

from shared.messages.routes import golioth_receivers
from shared.runtime.web.asgi import Reply, answer
from shared.runtime.web.routing import Router

router = Router("golioth-webhook", golioth_receivers)


@aio.http
async def golioth_webhook(request: Request) -> Reply:
    """Entry point."""
    return await answer(router, request)
