"""`/scheduler`: one tick, answered when it ends. For pg_cron or any scheduler that can POST; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.runtime.web.routing import Router
from shared.scheduler.routes import routes

router = Router("scheduler", routes)


@functions_framework.http
def scheduler(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
