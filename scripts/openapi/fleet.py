"""What is done with an integration's devices as a whole: jobs, conflicts, provisioning."""

from __future__ import annotations

from http import HTTPStatus

from scripts.openapi.headers import LIMITS, LOCATION
from scripts.openapi.operation import PAGE, Operation, in_query
from scripts.openapi.problems import ADMINS_ONLY, ALWAYS, NAMING_ONE, READING_BODY, Kind
from shared.devices import conflicts
from shared.jobs.kinds import list_kinds
from shared.jobs.routes import STATUSES
from shared.runtime.errors import Conflict, InvalidConfig, NotSupported, OutsideError, RateLimited, VaultError

_READ = (*ALWAYS, *NAMING_ONE)
_CHANGE = (*_READ, *ADMINS_ONLY, Conflict, RateLimited)
_OUTSIDE: tuple[Kind, ...] = (OutsideError, *OutsideError.__subclasses__())

_JOBS = Operation(
    "listJobs",
    "List the jobs of an integration, newest first",
    _READ,
    reply=("JobPage",),
    parameters=(
        in_query("kind", "Only of this kind.", enum=[*list_kinds()]),
        in_query("status", "Only with this status.", enum=[*STATUSES]),
        *PAGE,
    ),
)
_BEGIN_JOB = Operation(
    "beginJob",
    "Begin a job, done from the next tick on",
    (*_CHANGE, *READING_BODY, NotSupported),
    reply=("OneJob",),
    status=HTTPStatus.ACCEPTED,
    body="NewJob",
    headers=LIMITS | LOCATION,
)
_JOB = Operation("getJob", "Read one job as it is now", _READ, reply=("OneJob",))
_CANCEL_JOB = Operation(
    "cancelJob", "End a job that is not finished", _CHANGE, reply=("OneJob",), headers=LIMITS
)
_CONFLICTS = Operation(
    "listConflicts",
    "List names and tags that were changed on both sides, newest first",
    _READ,
    reply=("ConflictPage",),
    parameters=(in_query("status", "Only with this status.", enum=[*conflicts.STATUSES]), *PAGE),
)
_RESOLVE = Operation(
    "resolveConflict",
    "Say which side counts; the next sync carries it out",
    (*_CHANGE, *READING_BODY),
    reply=("OneConflict",),
    body="Resolution",
    headers=LIMITS,
)
_PROVISION = Operation(
    "provisionDevice",
    "Make a device here and at the provider, and show its credentials once",
    (*_CHANGE, *READING_BODY, *_OUTSIDE, InvalidConfig, NotSupported, VaultError),
    reply=("Provisioned",),
    status=HTTPStatus.CREATED,
    body="NewProvisioning",
    headers=LIMITS,
    also=HTTPStatus.ACCEPTED,
)

FLEET = {
    "jobs": {"get": _JOBS, "post": _BEGIN_JOB},
    "jobs/{job_id}": {"get": _JOB},
    "jobs/{job_id}/cancel": {"post": _CANCEL_JOB},
    "conflicts": {"get": _CONFLICTS},
    "conflicts/{conflict_id}/resolve": {"post": _RESOLVE},
    "devices": {"post": _PROVISION},
}
"""What follows the path of one integration."""
