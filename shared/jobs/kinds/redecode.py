"""Decodes anew what was decoded wrongly: messages of a range, by the config of today; the first version is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

from shared.jobs.job import Again, Done, Job, JobOutcome
from shared.jobs.kinds.backfill import BackfillRequest
from shared.messages.stored import StoredMessage, cut_parts, decode_rows
from shared.provider import Decoder, require

CAPABILITY = Decoder
COUNTED = ("looked_at", "changed", "added", "failed")


class RedecodeRequest(BackfillRequest):
    """Received from when on, and until before when; 31 days at most."""


REQUEST = RedecodeRequest


def run(job: Job[RedecodeRequest]) -> JobOutcome:
    """Page by page, each stored before the place after it is saved; to decode a page twice changes nothing more.

    `failed` are those that today's config can't decode, or finds no message in: they stay as they are.
    """
    decoder = require(job.provider, Decoder)
    counts = Counter[str]({name: job.progress.get(name, 0) for name in COUNTED})
    state = dict(job.state)
    while rows := _read_rows(job, state):
        decoded = list(decode_rows(decoder, rows))
        for part in cut_parts(decoded):
            counts.update(job.database.call("redecode_messages", **job.lease, p_messages=part))
        counts.update(looked_at=len(rows), failed=len(rows) - len(decoded))
        state = {"after_received_at": rows[-1]["received_at"], "after_id": rows[-1]["id"]}
        job.save(state, {**counts, "until": rows[-1]["received_at"]})
        if job.deadline.expired:
            return Again()
    return Done({name: counts[name] for name in COUNTED})


def _read_rows(job: Job[RedecodeRequest], state: dict[str, Any]) -> list[StoredMessage]:
    asked = {"from": job.request.from_, "to": job.request.to}
    rows: list[StoredMessage] = job.database.call(
        "stored_messages", p_integration_id=job.provider.identity.integration_id, p_filter=asked | state
    )
    return rows
