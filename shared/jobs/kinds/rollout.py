"""Following the open rollouts of an integration: one job for all of them, due again until none is open."""

from __future__ import annotations

from shared.firmware.follower import Followed, Follower, OpenRollout
from shared.jobs.job import Again, Done, Job, JobOutcome
from shared.provider import FirmwareKeeper, require
from shared.runtime.bodies import Body
from shared.runtime.errors import LeaseLost, OutsideError, Problem, ProtocolFailed, Unavailable

CAPABILITY = FirmwareKeeper
PLAN = "plan_rollouts"

OPEN = ("starting", "running")
"""At most 50 of an integration, as start_rollout sees to."""

FOLLOW_SECONDS = 30.0


class RolloutRequest(Body):
    """Nothing to ask for: the rollouts are in the database."""


REQUEST = RolloutRequest


def run(job: Job[RolloutRequest]) -> JobOutcome:
    """One step of each open rollout, in turns; what one is refused stops no other."""
    followed: dict[str, Followed] = {}
    trouble: list[Problem] = []
    unfinished = False
    with require(job.provider, FirmwareKeeper).firmware(job.deadline) as firmware:
        for row in _read_open(job):
            follower = Follower(row, firmware, job.database, job.provider.mask_text)
            try:
                followed[row["id"]] = follower.follow()
            except (LeaseLost, Unavailable):
                raise
            except Problem as problem:
                if job.deadline.expired:
                    return Again()
                trouble.append(problem)
                followed[row["id"]] = follower.settle(job.provider.mask_text(problem.detail))
            unfinished |= follower.unfinished
            job.save({"last": row["id"]}, {"rollouts": followed})
    if trouble and len(trouble) == len(followed):
        # Nothing is heard at all: tried again with growing pauses. Else each says for itself what troubles it.
        raise trouble[0] if isinstance(trouble[0], OutsideError) else ProtocolFailed(trouble[0].detail)
    still_open = any(each["status"] in OPEN for each in followed.values())
    return Again(0 if unfinished else FOLLOW_SECONDS) if still_open else Done({"rollouts": followed})


def _read_open(job: Job[RolloutRequest]) -> list[OpenRollout]:
    """Those that are open, from the one after the last that had its turn."""
    mine = {"integration_id": f"eq.{job.row['integration']['id']}", "status": f"in.({','.join(OPEN)})"}
    rows = job.database.read(OpenRollout, "firmware_rollouts", {**mine, "order": "id"})
    last = job.state.get("last", "")
    return [row for row in rows if row["id"] > last] + [row for row in rows if row["id"] <= last]
