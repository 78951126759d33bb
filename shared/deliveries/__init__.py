"""Deliveries out: the dispatcher, the one async island, leases, sends and records them; dead letters and redelivery."""

from __future__ import annotations

from shared.deliveries.attempt import Attempt
from shared.deliveries.delivery import make_event
from shared.deliveries.dispatcher import dispatch_deliveries
from shared.deliveries.judgement import Judgement, judge_attempt
from shared.deliveries.process import set_collector

__all__ = [
    "Attempt",
    "Judgement",
    "dispatch_deliveries",
    "judge_attempt",
    "make_event",
    "set_collector",
]
