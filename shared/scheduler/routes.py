"""`/scheduler`: one tick, for whoever brings the scheduler's secret or the service key."""

from __future__ import annotations

from shared.runtime.database.access import SERVICE_KEY, check_access
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings
from shared.runtime.stopping import ends_with_process
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
    check_access(SERVICE_KEY)
    with ends_with_process(Deadline(tick.seconds or load_settings().scheduler_seconds)) as deadline:
        report = run_tick(as_service(), deadline, tick.idle_seconds)
    get_log().info("tick", **report)
    return report
