"""Alerts by condition: SQL judges each integration once a minute; this asks it to, a few at a time."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log

AT_ONCE = 100
PAUSE_SECONDS = 5.0


class Judged(TypedDict):
    """What `judge_integrations` answers; `broken` says of integrations why they could not be judged."""

    judged: int
    is_full: bool
    """Whether the round was left with more to judge: the next should not wait."""
    raised: int
    resolved: int
    told: int
    broken: dict[str, str]
    platform: list[str]
    """The open alerts about the platform itself: partitions, retention, keys, clocks."""


def watch_alerts(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Have what is due judged until `deadline`, so many at a time; what could not be is tried again in a minute.

    Of a call that the database did not end in time the next asks for half as many.
    """
    counts: Counter[str] = Counter()
    told: list[str] = []
    most = AT_ONCE
    while not deadline.expired:
        try:
            judged = _judge_some(database, most, counts)
            most = AT_ONCE
        except Problem as problem:
            get_log().warning("integrations could not be judged", code=problem.code, detail=problem.detail)
            counts["failed_calls"] += 1
            most = max(1, most // 2) if isinstance(problem, Unavailable) else most
            deadline.within(PAUSE_SECONDS).wait()
            continue
        if judged["raised"] + judged["resolved"] + judged["told"]:
            pulse.tell_queued()
        if judged["platform"] != told:
            told = judged["platform"]
            get_log().error("the platform needs its operator", alerts=told)
        if not judged["is_full"]:
            deadline.within(PAUSE_SECONDS).wait()
    return counts


def _judge_some(database: Database, most: int, counts: Counter[str]) -> Judged:
    judged: Judged = database.call("judge_integrations", p_limit=most)
    counts.update(judged=judged["judged"], raised=judged["raised"], resolved=judged["resolved"])
    for integration_id, reason in judged["broken"].items():
        get_log().error("an integration could not be judged", integration=integration_id, reason=reason)
        counts["broken"] += 1
    return judged
