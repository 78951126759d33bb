"""Maintenance: what is past its time is forgotten, in batches, and stored credentials are sealed anew."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from shared.integrations.resealing import reseal_some
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings

PRUNES = (
    "prune_deliveries",
    "prune_idempotency_keys",
    "prune_rate_limits",
    "prune_audit_log",
    "prune_jobs",
    "prune_conflicts",
    "prune_firmware",
    "prune_refusals",
)
"""The SQL functions that forget what is past its time, beside those whose time the operator sets."""

PAUSE_SECONDS = 60.0
LOOK_SECONDS = 0.05

MORE_FROM = 1_000
"""A batch so large is followed by the next at once: one a minute would not forget what a fleet says in a day. What does
not open waits its minute: it would not open at once either."""


def run_maintenance(database: Database, deadline: Deadline) -> dict[str, Any]:
    """Do what there is to do, each minute until `deadline`; its counts, and why the last round was `put_off`."""
    counts: Counter[str] = Counter()
    while True:
        found, put_off = _do_round(database, deadline)
        counts.update(found)
        if max((count for name, count in found.items() if name != "unopened"), default=0) < MORE_FROM:
            _wait(deadline.within(PAUSE_SECONDS))
        if deadline.expired:
            return {**counts, **put_off}


def _do_round(database: Database, deadline: Deadline) -> tuple[dict[str, int], dict[str, str]]:
    try:
        return {**_prune_all(database), **reseal_some(database, deadline)}, {}
    except Problem as problem:
        get_log().warning("maintenance was put off", code=problem.code, detail=problem.detail)
        return {}, {"put_off": problem.code}


def _prune_all(database: Database) -> dict[str, int]:
    settings = load_settings()
    pruned: dict[str, int] = database.call(
        "prune_messages", p_retention_days=settings.retention_days_messages
    )
    pruned |= database.call("prune_history", p_retention_days=settings.retention_days_history)
    for function in PRUNES:
        pruned |= database.call(function)
    return pruned


def _wait(deadline: Deadline) -> None:
    while not deadline.expired:
        time.sleep(min(LOOK_SECONDS, deadline.remaining()))
