"""What the integrations API costs: against the same statement straight to /rest/v1, with many users, and at its start.

`get_p50_ratio` is GET /integrations, a full page of 50, over the same select by the same user; `post_p50_ratio` is POST
over an insert of the same row without its secrets, which only the API writes; both ways take turns. `concurrent_errors`
counts what was not 2xx while 50 users list, read, create and delete side by side. `cold_start_s` is process start to
first authenticated answer of the function by itself, the median of several, and `rss_mb` the memory of all its
processes after 200 calls, shared pages once.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._caller import Caller, CallError, sign_in
from scripts.benchmarks._cold_start import CALLS, start_function
from scripts.benchmarks._scratch import start_stack
from scripts.local.seed import User
from scripts.local.stack import Report
from shared.integrations.records import IntegrationRow

REACH = {
    "get_p50_ratio": "≤ 2",
    "post_p50_ratio": "≤ 2",
    "cold_start_s": "≤ 1.0 s",
    "rss_mb": "≤ 120 MB",
    "concurrent_errors": "0",
}
INTEGRATIONS = "/functions/v1/integrations"
COLUMNS = [column for column in IntegrationRow.__annotations__ if column != "health"]
TABLE = f"/rest/v1/device_integrations?select={','.join(COLUMNS)}"
LIST = f"{TABLE}&order=created_at.desc,id.desc&limit=51"
PAGE, USERS, WARM_UP = 50, 50, 20


def measure(bench: Bench) -> Numbers:
    """All of it, on one stack."""
    with bench.step("Starting a stack"), start_stack() as report:
        admin = next(user for user in report.users if user.role == "admin")
        caller = sign_in(report, admin)
        for _ in range(PAGE + 1):
            caller.call("POST", INTEGRATIONS, _make_body(admin))
        numbers = _compare_reads(bench, caller) | _compare_writes(bench, caller, admin)
        numbers |= _start_several(bench, report, caller)
        numbers |= _crowd_in(bench, report)
    return {key: numbers[key] for key in sorted(numbers, key=lambda key: (key not in REACH, key))}


def _compare_reads(bench: Bench, caller: Caller) -> Numbers:
    ways = (lambda: caller.call("GET", INTEGRATIONS).seconds, lambda: caller.call("GET", LIST).seconds)
    api, direct = _take_turns(bench, "GET", bench.rounds(1000, 200), ways)
    return {"get_p50_ratio": api / direct, "get_p50_ms": api * 1000, "get_direct_p50_ms": direct * 1000}


def _compare_writes(bench: Bench, caller: Caller, admin: User) -> Numbers:
    """What is inserted is deleted again outside of the time measured, so that the page stays as it is."""
    example = caller.call("GET", f"{TABLE}&limit=1").body[0]
    row = {name: example[name] for name in ("organization_id", "integration_type", "settings")}

    def create() -> float:
        answer = caller.call("POST", INTEGRATIONS, _make_body(admin))
        _delete(caller, answer.body["integration"]["id"])
        return answer.seconds

    def insert() -> float:
        values = row | {"name": str(uuid.uuid4())}
        answer = caller.call("POST", TABLE, values, Prefer="return=representation")
        _delete(caller, answer.body[0]["id"])
        return answer.seconds

    api, direct = _take_turns(bench, "POST", bench.rounds(500, 100), (create, insert))
    return {"post_p50_ratio": api / direct, "post_p50_ms": api * 1000, "post_direct_p50_ms": direct * 1000}


def _take_turns(
    bench: Bench, label: str, rounds: int, ways: tuple[Callable[[], float], ...]
) -> tuple[float, float]:
    """The median seconds of the two ways."""
    seconds = [[way() for way in ways] for _ in bench.track(label, rounds + WARM_UP)][WARM_UP:]
    first, second = (statistics.median(taken) for taken in zip(*seconds, strict=True))
    return first, second


def _start_several(bench: Bench, report: Report, caller: Caller) -> Numbers:
    starts = [
        start_function(report, caller.headers, bench.size(CALLS))
        for _ in bench.track("Cold starts", bench.rounds(9, 3))
    ]
    return {
        "cold_start_s": statistics.median(start.seconds for start in starts),
        "rss_mb": max(start.megabytes for start in starts),
    }


def _crowd_in(bench: Bench, report: Report) -> Numbers:
    """50 sessions of those who may write, each at its own pace, for 30 seconds."""
    writers = [user for user in report.users if user.role in {"admin", "owner"}]
    sessions = [(user, sign_in(report, user)) for user in itertools.islice(itertools.cycle(writers), USERS)]
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + bench.rounds(30, 5)
    threads = [
        threading.Thread(target=_use_api, args=(user, caller, deadline, counts)) for user, caller in sessions
    ]
    with bench.step(f"{USERS} users side by side"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"concurrent_errors": counts["errors"], "concurrent_calls": counts["calls"]}


def _use_api(user: User, caller: Caller, deadline: float, counts: Counter[str]) -> None:
    while time.monotonic() < deadline:
        try:
            _use_once(user, caller, counts)
        except (CallError, HTTPException, OSError) as failure:
            print(failure)
            counts["errors"] += 1
            caller.close()


def _use_once(user: User, caller: Caller, counts: Counter[str]) -> None:
    """List twice, create, read, delete."""
    for _ in range(2):
        caller.call("GET", INTEGRATIONS)
    made = caller.call("POST", INTEGRATIONS, _make_body(user)).body["integration"]["id"]
    caller.call("GET", f"{INTEGRATIONS}/{made}")
    caller.call("DELETE", f"{INTEGRATIONS}/{made}")
    counts["calls"] += 5


def _delete(caller: Caller, integration_id: str) -> None:
    caller.call("DELETE", f"/rest/v1/device_integrations?id=eq.{integration_id}")


def _make_body(user: User) -> dict[str, Any]:
    return {
        "organization_id": user.organization_id,
        "integration_type": "mqtt",
        "name": str(uuid.uuid4()),
        # Nothing is to poll it while the API is measured; password is what gets sealed.
        "status": "inactive",
        "config": {
            "broker_url": "mqtts://broker.example.com",
            "topics": ["fleet/#"],
            "username": "bench",
            "password": "bench",
        },
    }
