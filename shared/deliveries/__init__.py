"""The webhook dispatcher, the one async island: leases due deliveries, sends them side by side, records the answers."""

from __future__ import annotations

from shared.deliveries.dispatcher import dispatch_deliveries, set_collector
from shared.deliveries.event import make_event
from shared.deliveries.verdict import Attempt, Verdict, judge_attempt

__all__ = [
    "Attempt",
    "Verdict",
    "dispatch_deliveries",
    "judge_attempt",
    "make_event",
    "set_collector",
]
