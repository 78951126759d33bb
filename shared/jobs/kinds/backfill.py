"""Reads back what devices have said between two moments, and stores what did not come another way."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from shared.jobs.job import Again, Done, Job, JobOutcome
from shared.messages.store import CountName, Store
from shared.provider import Historian, require
from shared.runtime.bodies import Body, Instant

CAPABILITY = Historian
LONGEST = timedelta(days=31)
SETTLING = timedelta(minutes=2)
"""What is younger may still be on its way to us, and would be stored twice."""

COUNTED: tuple[CountName, ...] = ("received", "stored", "duplicates", "failed")


class BackfillRequest(Body):
    """From when on, and until before when; 31 days at most."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Instant = Field(alias="from")
    to: Instant

    @field_validator("from_")
    @classmethod
    def _check_past(cls, begin: datetime) -> datetime:
        if begin > datetime.now(UTC):
            raise ValueError("expected a moment that is past")
        return begin

    @field_validator("to")
    @classmethod
    def _check_range(cls, end: datetime, info: ValidationInfo) -> datetime:
        begin = info.data.get("from_", end)
        if "from_" in info.data and not begin < end <= begin + LONGEST:
            raise ValueError(f"expected a moment after from, {LONGEST.days} days after it at most")
        return end


REQUEST = BackfillRequest


def run(job: Job[BackfillRequest]) -> JobOutcome:
    """Page by page, each stored before the place after it is saved: a crash in between reads one page again."""
    begin, end = job.request.from_, min(job.request.to, datetime.now(UTC) - SETTLING)
    store = Store(job.database, job.provider.identity.integration_id, function="ingest_history")
    counts = Counter[str]({name: job.progress.get(name, 0) for name in COUNTED})
    for batch in require(job.provider, Historian).history(begin, end, job.state, job.deadline):
        if batch.messages:
            stored = store.store_batch(batch.messages, None, job.deadline, batch.received_bytes)
            counts.update({str(name): stored[name] for name in COUNTED})
        state = batch.state or {}
        job.save(state, {**counts, "until": state["until"]})
        if job.deadline.expired:
            return Again()
    return Done({**counts, "until": max(begin, end).isoformat()})
