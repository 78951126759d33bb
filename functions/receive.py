"""`/receive`: what is pushed to an integration of any type that takes it; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.messages.receive import receive_messages
from shared.runtime.web.routing import Call, Reply, Router

router = Router("receive")


@functions_framework.http
def receive(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("POST", "/{id}")
def receive_pushed(call: Call) -> Reply:
    """Store what is sent to an integration."""
    return receive_messages(call)
