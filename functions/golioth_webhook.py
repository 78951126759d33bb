"""`/golioth-webhook`: what Golioth's pipelines push to an integration of theirs; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.messages.receive import receive_messages
from shared.runtime.web.routing import Call, Reply, Router

router = Router("golioth-webhook")


@functions_framework.http
def golioth_webhook(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("POST", "/{id}")
def receive_events(call: Call) -> Reply:
    """Store what a pipeline sends to a Golioth integration."""
    return receive_messages(call, "golioth")
