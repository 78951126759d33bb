"""One tick of the scheduler: sessions, commands, jobs, deliveries, alerts, maintenance, side by side until its end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from shared.commands.sending import run_commands
from shared.deliveries import dispatch_deliveries
from shared.jobs.pool import run_jobs
from shared.messages.session_pool import run_sessions
from shared.monitoring.alerts import watch_alerts
from shared.monitoring.heartbeat import Heartbeat
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log
from shared.scheduler.bodies import TickReport
from shared.scheduler.retention import run_maintenance

ENDING_SECONDS = 1.0
"""Kept of the tick for sessions to commit, acknowledge and disconnect."""

RESTART_SECONDS = 1.0
LAST_LOOK_SECONDS = 0.3
"""For the deliveries, once the sessions of an idle tick have ended."""


def run_tick(database: Database, deadline: Deadline, idle_seconds: float | None) -> TickReport:
    """Run one tick until `deadline`, less when nothing happened for `idle_seconds`; what it did, by part."""
    pulse, seconds = Pulse(), deadline.remaining()
    work = deadline.within(max(seconds - ENDING_SECONDS, seconds / 2))
    heartbeat = Heartbeat(database)
    watch = heartbeat.watch
    parts: dict[str, tuple[Deadline, Callable[[], Mapping[str, Any]]]] = {
        "sessions": (work, partial(run_sessions, watch("sessions"), work, pulse)),
        "commands": (work, partial(run_commands, watch("commands"), work, pulse)),
        "jobs": (work, partial(run_jobs, watch("jobs"), work, pulse)),
        "deliveries": (deadline, partial(_deliver, watch("deliveries"), deadline, pulse)),
        "alerts": (work, partial(watch_alerts, watch("alerts"), work, pulse)),
        "maintenance": (work, partial(run_maintenance, watch("maintenance"), work)),
        "heartbeat": (work, partial(heartbeat.run, work)),
    }
    with ThreadPoolExecutor(len(parts), thread_name_prefix="tick") as threads:
        begun = {name: threads.submit(keep_going, name, *part) for name, part in parts.items()}
        _watch(work, pulse, idle_seconds, begun["sessions"])
        begun["sessions"].result()
        if idle_seconds is not None:
            deadline.shorten(LAST_LOOK_SECONDS)
        done = {name: dict(part.result()) for name, part in begun.items()}
        return cast("TickReport", {name: done[name] for name in TickReport.__annotations__})


def keep_going(name: str, deadline: Deadline, run: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What `run` gives; where it breaks off before the deadline it is begun again, and `restarts` counts that."""
    restarts = 0
    while True:
        try:
            counts = run()
        except BaseException:  # noqa: BLE001 - no defect may stop a part of the process for everybody
            restarts += 1
            get_log().exception("a part of the tick broke off and is begun again", part=name)
            if deadline.expired:
                return {"restarts": restarts}
            time.sleep(min(RESTART_SECONDS, deadline.remaining()))
        else:
            return {**counts, "restarts": restarts} if restarts else counts


def _deliver(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    return asyncio.run(dispatch_deliveries(database, deadline, pulse))


def _watch(
    deadline: Deadline, pulse: Pulse, idle_seconds: float | None, sessions: Future[Mapping[str, Any]]
) -> None:
    stopped = threading.Event()
    sessions.add_done_callback(lambda _: stopped.set())
    while not deadline.expired and not stopped.is_set():
        if idle_seconds is not None and pulse.idle_seconds() >= idle_seconds:
            deadline.shorten()
        stopped.wait(min(0.05, deadline.remaining()))
