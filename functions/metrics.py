"""`/metrics`: what Prometheus scrapes; contract: docs/monitoring.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.monitoring.scrape import routes
from shared.runtime.web.routing import Router

router = Router("metrics", routes)


@functions_framework.http
def metrics(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
