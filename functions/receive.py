"""`/receive`: what is pushed to an integration of any type that takes it; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.messages.receive import greet_sender
from shared.messages.routes import receivers
from shared.runtime.web.routing import Router

router = Router("receive", receivers, greet=greet_sender)


@functions_framework.http
def receive(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
