"""Retention: what is past its time is forgotten, in batches; and stored credentials are sealed anew.

What is kept how long is for the operator to say, in the table private.retention.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from random import randrange
from threading import Lock

from shared.integrations.resealing import reseal_some, rotate_keys
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Busy, Problem, Unavailable
from shared.runtime.log import get_log

FIRST = "sum_metrics"
"""Of each round: what metrics show waits for it."""

PRUNES = (
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
ROTATE, RESEAL = "rotate_keys", "reseal_some"

PAUSE_SECONDS = 60.0

ROUND_SECONDS = 1.0
"""What a round has in any case: far more than it takes where there is little to do."""

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


class Line:
    """What maintenance does, one after the other, over and over: of what is cut off, the rest comes first then.

    It begins anywhere, for a process may live no longer than one round, which may always be cut off.
    """

    def __init__(self, names: Sequence[str], start: int | None = None) -> None:
        self._names = deque(names)
        self._names.rotate(-(randrange(len(names)) if start is None else start))  # noqa: S311 - no secret
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._names)

    def take_next(self) -> str:
        """Whose turn it is; then it is the last of all."""
        with self._lock:
            name = self._names[0]
            self._names.rotate(-1)
        return name


line = Line((*PRUNES, ROTATE, RESEAL))


def _do_round(database: Database, deadline: Deadline) -> tuple[dict[str, int], dict[str, str]]:
    """All of it, each in a guard of its own, as far as the time goes, but something; while the database is away the
    rest waits for the next round."""
    found: dict[str, int] = {}
    put_off: dict[str, str] = {}
    least = Deadline(ROUND_SECONDS)
    for turn in range(1 + len(line)):
        name = line.take_next() if turn else FIRST
        try:
            found |= _do(name, database, deadline)
        except Problem as problem:
            get_log().warning("maintenance was put off", what=name, code=problem.code, detail=problem.detail)
            put_off = {"put_off": problem.code}
            if isinstance(problem, Unavailable) and not isinstance(problem, Busy):
                break
        except Exception:  # noqa: BLE001 - what can't be forgotten must not keep the rest from it
            get_log().exception("maintenance was put off", what=name)
            put_off = {"put_off": Problem.code}
        if turn and deadline.expired and least.expired:
            break
    return found, put_off


def _do(name: str, database: Database, deadline: Deadline) -> dict[str, int]:
    if name == ROTATE:
        return rotate_keys(database)
    if name == RESEAL:
        return reseal_some(database, deadline)
    counts: dict[str, int] = database.call(name)
    return counts
