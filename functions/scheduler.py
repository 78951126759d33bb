"""`/scheduler`: one tick, answered when it ends. For pg_cron or any scheduler that can POST; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework
from pydantic import BaseModel, ConfigDict, Field

from shared.runtime.database.access import SERVICE_KEY, check_access
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings
from shared.runtime.stopping import ends_with_process
from shared.runtime.web.auth import authenticate_scheduler
from shared.runtime.web.routing import Call, Reply, Router
from shared.scheduler.tick import run_tick

router = Router("scheduler")


class Tick(BaseModel):
    """The body of POST: how long at most, and how long without anything happening."""

    model_config = ConfigDict(extra="forbid")

    seconds: float | None = Field(default=None, gt=0, le=3300, strict=True)
    idle_seconds: float | None = Field(default=None, gt=0, le=3300, strict=True)


@functions_framework.http
def scheduler(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("POST", "/")
def run_scheduler(call: Call) -> Reply:
    """Run one tick and say what it did."""
    authenticate_scheduler(call.request.headers)
    tick = call.json(Tick) if call.body else Tick()
    check_access(SERVICE_KEY)
    with ends_with_process(Deadline(tick.seconds or load_settings().scheduler_seconds)) as deadline:
        counts = run_tick(as_service(), deadline, tick.idle_seconds)
    get_log().info("tick", **counts)
    return Reply(counts)
