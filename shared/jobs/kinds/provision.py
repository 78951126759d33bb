"""Completing, or undoing, the provisionings that the call which began them could not bring to an end."""

from __future__ import annotations

from shared.devices.provisioning_steps import LeasedProvisioning, Provisioning, complete
from shared.jobs.job import Again, Done, Job, JobOutcome
from shared.provider import Directory, Syncer, require
from shared.runtime.bodies import Body
from shared.runtime.errors import OutsideError

CAPABILITY = Syncer
PLAN = "plan_provisionings"
PAUSE_SECONDS = 300
"""How long one that failed is left, so that it does not stand before the others."""


class ProvisionRequest(Body):
    """Nothing to choose: all that were left are done."""


REQUEST = ProvisionRequest


def run(job: Job[ProvisionRequest]) -> JobOutcome:
    """One after the other; where one fails for a reason that may pass, the job is tried again for the others."""
    with require(job.provider, Syncer).devices(job.deadline) as directory:
        while not job.deadline.expired:
            rows: list[LeasedProvisioning] = job.database.call(
                "lease_provisionings", **job.lease, p_limit=1, p_lease_seconds=PAUSE_SECONDS
            )
            if not rows:
                return Done()
            ended = _complete(job, directory, Provisioning.from_row(rows[0]))
            job.save({}, job.progress | {ended: job.progress.get(ended, 0) + 1})
    return Again()


def _complete(job: Job[ProvisionRequest], directory: Directory, provisioning: Provisioning) -> str:
    place = {**job.lease, "p_provisioning_id": provisioning.id}
    try:
        ending = complete(directory, provisioning)
    except OutsideError as problem:
        job.database.call("end_provisioning", **place, p_error=problem.detail, p_final=False)
        raise
    job.database.call("end_provisioning", **place, **ending.describe())
    return "undone" if ending.error else "completed"
