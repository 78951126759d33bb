"""The connection test: every step as it ends, then the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from shared.integrations.bodies import Verdict
from shared.provider import Check, Checker
from shared.runtime.web.call import Call
from shared.runtime.web.events import EventStream, ServerEvent, wants_events

Record = Callable[[Verdict], object]


def answer_test(call: Call, checker: Checker, record: Record | None = None) -> Verdict | EventStream:
    """The verdict, or for those who ask for events each `check` and then the `verdict`; `record` is told it before."""
    events = _run_checks(checker, record)
    if wants_events(call.request):
        return EventStream(events)
    *_, last = events
    return cast("Verdict", last.data)


def _run_checks(checker: Checker, record: Record | None) -> Iterator[ServerEvent]:
    checks: list[Check] = []
    for check in checker.check():
        checks.append(check)
        yield ServerEvent("check", check)
    verdict: Verdict = {"ok": all(check.ok for check in checks), "checks": checks}
    if record:
        record(verdict)
    yield ServerEvent("verdict", verdict)
