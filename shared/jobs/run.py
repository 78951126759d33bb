"""Running one leased job: opened, run, and its lease finished whatever happens, with backoff where it may pass."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.integrations.refusals import explain_refusal
from shared.integrations.sealing import open_provider
from shared.jobs.job import Again, Done, Failed, Job, JobOutcome, LeasedJob
from shared.jobs.kinds import Kind
from shared.provider import Provider
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.database.leases import require_state
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BadRequest,
    InvalidConfig,
    LeaseLost,
    NotSupported,
    OutsideError,
    Problem,
    Unavailable,
    VaultError,
)
from shared.runtime.log import bind_log, clear_log, get_log
from shared.runtime.outbound import time_calls
from shared.runtime.sentences import name_wrong

BACKOFF = Backoff(5.0, 600.0)
FAIR_SECONDS = 10.0
"""A step that has had so long and was cut off by the end of a tick counts as failed, not as cut off."""

_PASSING = (OutsideError, Unavailable, InvalidConfig, VaultError)
"""What may be over at the next try. A rule on top of the table of `is_final_status`, by which a kind judges what it was
refused of one device or rollout: what is refused of a whole job may be by a config that is about to be mended."""

FindKind = Callable[[str], Kind]


@dataclass(frozen=True, slots=True)
class Retry:
    """A failed try; the next is due in `seconds`."""

    error: str
    seconds: float


def run_job(row: LeasedJob, find_kind: FindKind, database: Database, deadline: Deadline) -> Counter[str]:
    """Run a row of `lease_jobs` until it is finished or `deadline`; nothing raises.

    Counts one of `done`, `failed`, `retried`, `put_off` and `lost_leases`.
    """
    integration = row["integration"]
    clear_log()
    bind_log(integration=integration["id"], organization=integration["organization_id"], job=row["id"])
    calls = time_calls()
    try:
        outcome = _run(row, find_kind, database, deadline)
        return Counter([_finish(row, partial(database.call, p_certificate=calls.certificate), outcome)])
    except LeaseLost:
        # Cancelled, or its integration changed, meanwhile: whoever did that has the say now.
        return Counter(lost_leases=1)
    except Problem as problem:
        get_log().warning("a job could not be recorded", code=problem.code, detail=problem.detail)
        return Counter(unrecorded=1)


def _run(row: LeasedJob, find_kind: FindKind, database: Database, deadline: Deadline) -> JobOutcome | Retry:
    began = time.monotonic()
    job: Job[Any] | None = None
    try:
        kind = find_kind(row["kind"])
        job = _open_job(row, kind, database, deadline)
        return kind.run(job) or Done()
    except LeaseLost:
        raise
    except _PASSING as problem:
        saved = job is not None and job.saves > 0
        if deadline.expired and (saved or time.monotonic() - began < FAIR_SECONDS):
            return Again()
        get_log().warning("a job failed", code=problem.code, detail=problem.detail)
        explain_refusal(
            database, row["integration"]["id"], row["kind"], problem.code, _describe(problem, job)
        )
        return Retry(_describe(problem, job), BACKOFF.pause(1 if saved else row["attempts"] + 1))
    except Problem as problem:
        return Failed(_describe(problem, job))
    except Exception:  # noqa: BLE001 - one job's defect must not end the others' tick
        get_log().exception("a job failed")
        return Failed("It failed on our side; the log has the details.")


def _open_job(row: LeasedJob, kind: Kind, database: Database, deadline: Deadline) -> Job[Any]:
    state, progress = require_state(row["state"]), require_state(row["progress"])
    provider = open_provider(row["integration"])
    require_capability(type(provider), kind)
    return Job(
        row=row,
        request=_read_request(kind.request, row["request"]),
        provider=provider,
        database=database,
        deadline=deadline,
        state=state,
        progress=progress,
    )


def require_capability(provider: type[Provider], kind: Kind) -> None:
    """NotSupported unless the provider has what the kind needs."""
    if not issubclass(provider, kind.capability):
        raise NotSupported(f"{provider.label} integrations have no {kind.name} jobs.")


def _read_request(model: type[BaseModel], request: Mapping[str, object]) -> BaseModel:
    """Validated again: it may have been written past the API."""
    try:
        return model.model_validate(request)
    except ValidationError as error:
        raise Problem(f"The request is not valid: {name_wrong(error, 'request')}.") from None


def _describe(problem: Problem, job: Job[Any] | None) -> str:
    words = problem.explain()
    return job.provider.mask_text(words) if job else words


def _finish(row: LeasedJob, tell: Callable[..., Any], outcome: JobOutcome | Retry) -> str:
    call = partial(tell, "finish_job", p_job_id=row["id"], p_lease_token=row["lease_token"])
    try:
        status = call(**_describe_outcome(outcome))
    except (BadRequest, TypeError):
        # Neither is the next try's: what JSON or the database can't hold would only be made again.
        get_log().exception("what came of a job can't be kept")
        status = call(**_describe_outcome(Failed("What came of it can't be kept; the log has the details.")))
    if status == "pending":
        return "retried" if isinstance(outcome, Retry) else "put_off"
    return str(status)


def _describe_outcome(outcome: JobOutcome | Retry) -> dict[str, object]:
    match outcome:
        case Done(report):
            return {"p_outcome": "done", "p_report": report}
        case Failed(error, report):
            return {"p_outcome": "failed", "p_error": error, "p_report": report}
        case Again(seconds):
            return {"p_outcome": "again", "p_retry_seconds": seconds}
        case Retry(error, seconds):
            return {"p_outcome": "retry", "p_error": error, "p_retry_seconds": seconds}
