"""`/scheduler`: one tick, for whoever brings the scheduler's secret or the service key."""

from __future__ import annotations

from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.settings import load_settings
from shared.runtime.web.auth import authenticate_scheduler
from shared.runtime.web.call import Call
from shared.runtime.web.routes import Routes
from shared.scheduler.bodies import Tick, TickReport
from shared.scheduler.tick import run_tick

routes = Routes()


@routes.post("/", public=True, proofs=("scheduler_secret", "service_key"), reads=(Tick,))
def run_scheduler(call: Call) -> TickReport:
    """Run one tick, answered when it ends."""
    authenticate_scheduler(call.request.headers)
    tick = call.json(Tick) if call.body else Tick()
    seconds = tick.seconds or load_settings().scheduler_seconds
    return run_tick(as_service(), Deadline(seconds), tick.idle_seconds)
