"""`/commands`: what devices are told; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.commands.routes import routes
from shared.runtime.web.routing import Router

router = Router("commands", routes)


@functions_framework.http
def commands(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
