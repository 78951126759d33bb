"""Bringing the devices here and those of the provider into step, phase by phase."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from shared.jobs.job import Job, JobOutcome
from shared.jobs.kinds.sync.phases import Rules, Sync
from shared.provider import Direction, Policy, Syncer, require
from shared.runtime.bodies import Body
from shared.runtime.numbers import refuse_truth

CAPABILITY = Syncer
PLAN = "plan_syncs"


class SyncRequest(Body):
    """What may be asked of one run; what is left out is as the integration's config has it."""

    direction: Direction | None = None
    """From the provider to here, from here to there, or both ways."""
    dry_run: bool = False
    """Change nothing on either side, and report what would be changed."""
    conflicts: Policy | None = None
    """Who has the say where both sides changed a name or tags."""
    create_missing: bool | None = None
    update_existing: bool | None = None
    limit: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(refuse_truth)] | None = None
    """At most so many new devices, on both sides together."""


REQUEST = SyncRequest


def run(job: Job[SyncRequest]) -> JobOutcome:
    """All phases, page by page, from where the last run stopped."""
    provider = require(job.provider, Syncer)
    with provider.devices(job.deadline) as directory:
        return Sync(job, directory, choose_rules(job.request, provider)).run()


def choose_rules(request: SyncRequest, config: Syncer) -> Rules:
    """The rules of one run; a config that is off is asked for import."""
    configured = "import" if config.sync_direction == "off" else config.sync_direction
    return Rules(
        direction=request.direction or configured,
        conflicts=request.conflicts or config.sync_conflicts,
        create_missing=_choose(request.create_missing, config.sync_create_missing),
        update_existing=_choose(request.update_existing, config.sync_update_existing),
        limit=request.limit or config.sync_limit,
        online_minutes=config.online_minutes,
        dry_run=request.dry_run,
    )


def _choose(asked: bool | None, configured: bool) -> bool:  # noqa: FBT001 - two values of one setting
    return configured if asked is None else asked
