"""Retention: what is past its time is forgotten, in batches; and stored credentials are sealed anew.

What is kept how long is for the operator to say, in the table private.retention.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from shared.integrations.resealing import reseal_some, rotate_keys
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Busy, Problem, Unavailable
from shared.runtime.log import get_log

PRUNES = (
    "sum_metrics",
    "prune_messages",
    "prune_history",
    "prune_deliveries",
    "prune_idempotency_keys",
    "prune_issued_ids",
    "prune_rate_limits",
    "prune_audit_log",
    "prune_jobs",
    "prune_conflicts",
    "prune_firmware",
    "prune_refusals",
    "prune_invitations",
    "prune_events",
    "erase_organizations",
)

PAUSE_SECONDS = 60.0

MORE_FROM = 1_000
"""A batch so large is followed by the next at once: one a minute would not forget what a fleet says in a day. What does
not open waits its minute: it would not open at once either."""


def run_maintenance(database: Database, deadline: Deadline) -> dict[str, object]:
    """Do what there is to do, each minute until `deadline`; its counts, and why something was `put_off` last."""
    counts: Counter[str] = Counter()
    while True:
        found, put_off = _do_round(database, deadline)
        counts.update(found)
        if max((count for name, count in found.items() if name != "unopened"), default=0) < MORE_FROM:
            deadline.within(PAUSE_SECONDS).wait()
        if deadline.expired:
            return {**counts, **put_off}


def _do_round(database: Database, deadline: Deadline) -> tuple[dict[str, int], dict[str, str]]:
    """All of it, each in a guard of its own; while the database is away the rest waits for the next round."""
    found: dict[str, int] = {}
    put_off: dict[str, str] = {}
    work = [partial(database.call, prune) for prune in PRUNES]
    work += [partial(rotate_keys, database), partial(reseal_some, database, deadline)]
    for each in work:
        try:
            found |= each()
        except Problem as problem:
            get_log().warning("maintenance was put off", code=problem.code, detail=problem.detail)
            put_off = {"put_off": problem.code}
            if isinstance(problem, Unavailable) and not isinstance(problem, Busy):
                break
        except Exception:  # noqa: BLE001 - what can't be forgotten must not keep the rest from it
            get_log().exception("maintenance was put off")
            put_off = {"put_off": Problem.code}
    return found, put_off
