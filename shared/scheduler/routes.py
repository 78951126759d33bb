"""`/scheduler`: one tick, for whoever brings the scheduler's secret or the service key."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson

from shared.runtime.bodies import parse_model
from shared.runtime.database.access import SERVICE_KEY, check_access
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings
from shared.runtime.stopping import ends_with_process
from shared.runtime.web.auth import authenticate_scheduler
from shared.runtime.web.call import Call
from shared.runtime.web.routes import ANY_TYPE, Routes
from shared.scheduler.bodies import Tick, TickReport
from shared.scheduler.tick import run_tick

routes = Routes()


PROVEN: dict[str, object] = {"public": True, "proofs": ("scheduler_secret", "service_key")}


@routes.post("/", **PROVEN, reads=(Tick, ANY_TYPE))
def run_scheduler(call: Call) -> TickReport:
    """Run one tick, answered when it ends.

    The body is read as JSON or as a form, whatever its content type says; what is neither is left. What it does not say
    may be said in the query.
    """
    authenticate_scheduler(call.request.headers)
    return _run(parse_model(Tick, _read_query(call) | _read_body(call)))


@routes.get("/", **PROVEN)
def run_scheduler_unasked(call: Call) -> TickReport:
    """Run one tick as it is asked for in the query, for cron services that send nothing but GET or HEAD."""
    authenticate_scheduler(call.request.headers)
    return _run(parse_model(Tick, _read_query(call)))


def _read_query(call: Call) -> dict[str, Any]:
    return {name: _read_number(text) for name, text in call.request.args.items() if text}


def _read_body(call: Call) -> dict[str, Any]:
    """What the body asks for; BadRequest for JSON that is wrong, where it is said to be JSON."""
    if call.request.mimetype == "application/json" and call.body.strip() not in {b"", b"null"}:
        return call.json(Tick).model_dump(exclude_unset=True)
    try:
        sent = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        sent = {name: _read_number(text) for name, text in parse_qsl(call.body.decode(errors="replace"))}
    return sent if isinstance(sent, dict) else {}


def _read_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _run(tick: Tick) -> TickReport:
    check_access(SERVICE_KEY)
    with ends_with_process(Deadline(tick.seconds or load_settings().scheduler_seconds)) as deadline:
        report = run_tick(as_service(), deadline, tick.idle_seconds)
    get_log().info("tick", **report)
    return report
