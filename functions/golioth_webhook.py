"""`/golioth-webhook`: what Golioth's pipelines push to an integration of theirs; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.messages.routes import golioth_receivers
from shared.runtime.web.routing import Router

router = Router("golioth-webhook", golioth_receivers)


@functions_framework.http
def golioth_webhook(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
