"""Jobs as rollouts: what a job tells devices, what its executions say of them. Source: the service model of `iot`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shared.provider import (
    BadRequest,
    BegunRollout,
    Conflict,
    Deployment,
    DeviceFirmware,
    FieldError,
    Heard,
    Item,
    OtaEvent,
    RolloutPlan,
    read_json,
    write_json,
)
from shared.providers.aws_iot.api import read_items

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
WRONG_NAME = "At AWS it is the id of a job: letters, digits, _ and - alone, 64 at most."
NO_TAGS = (
    "AWS has no tags of things that a job could go to: send a cohort_id, which is the name of a thing group."
)
OPERATION = "firmware_update"
OWNED = "A rollout of the integration {}."
_OWNER = re.compile(re.escape(OWNED).replace(r"\{\}", "(.+)"))
STATES: dict[str, Heard] = {
    "QUEUED": "pending",
    "IN_PROGRESS": "downloading",
    "SUCCEEDED": "updated",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "REJECTED": "failed",
    "CANCELED": "failed",
}
WORDS = {
    "FAILED": "The device reports that the job failed.",
    "TIMED_OUT": "The device has not finished the job in time.",
    "REJECTED": "The device refused the job.",
    "CANCELED": "The job was cancelled.",
}
ENDED_JOBS = frozenset(("COMPLETED", "CANCELED", "DELETION_IN_PROGRESS"))


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Where images are, how devices get them, how fast and how long."""

    bucket: str | None = None
    folder: str = "firmware"
    download_role_arn: str | None = None
    rate_per_minute: int = 1_000
    timeout_minutes: int | None = None
    integration_id: str = ""
    """Whose rollouts they are: a job says so in its description."""


def check_plan(plan: RolloutPlan) -> None:
    """BadRequest, by the field, for what can be no job."""
    if not NAME.fullmatch(plan.name):
        raise BadRequest(errors=[FieldError("name", WRONG_NAME)])
    if not plan.target.cohort_id:
        raise BadRequest(errors=[FieldError("tag_id", NO_TAGS)])


def is_own(job: Item, plan: RolloutPlan, how: JobSettings) -> bool:
    """Whether the job is for the plan's group and no other, and no other integration's.

    Names of groups are of the account, as jobs are. A job that does not say whose it is may be an older one of ours.
    """
    groups = [str(each).partition(":thinggroup/")[2] for each in read_items(job.fields, "targets")]
    owner = _OWNER.fullmatch(job.text("description") or "")
    return groups == [plan.target.cohort_id] and (owner is None or owner[1] == how.integration_id)


def check_own(job: Item, plan: RolloutPlan, how: JobSettings) -> None:
    """Conflict where the job is another's."""
    if not is_own(job, plan, how):
        words = "which goes elsewhere or is another integration's"
        raise Conflict(f"AWS has a job named {plan.name} already, {words}; choose another name.")


def is_open(job: Item) -> bool:
    """Whether it is still offered to things."""
    return job.text("status") not in ENDED_JOBS


def describe_job(
    plan: RolloutPlan, target: str, addresses: Mapping[str, str], how: JobSettings
) -> dict[str, object]:
    """The job: `addresses` are of the artifacts, by their ids; AWS signs them for each device where there is a role."""
    artifacts = [
        {"package": each.package, "version": each.version, "url": _sign(addresses[each.id], how)}
        for each in plan.artifacts
    ]
    job: dict[str, object] = {
        "targets": [target],
        "document": write_json({"operation": OPERATION, "artifacts": artifacts}).decode(),
        "targetSelection": "SNAPSHOT",
        "jobExecutionsRolloutConfig": {"maximumPerMinute": how.rate_per_minute},
    }
    if how.integration_id:
        job["description"] = OWNED.format(how.integration_id)
    if how.download_role_arn:
        job["presignedUrlConfig"] = {"roleArn": how.download_role_arn, "expiresInSec": 3_600}
    if how.timeout_minutes:
        job["timeoutConfig"] = {"inProgressTimeoutInMinutes": how.timeout_minutes}
    return job


def read_artifact_ids(document: object) -> tuple[str, ...]:
    """The ids of the artifacts that a job's document names, sorted; none of a job that is not of ours."""
    try:
        told = Item(read_json(document.encode())) if isinstance(document, str) else Item(None)
    except orjson.JSONDecodeError:
        return ()
    named = [(each.text("package"), each.text("version")) for each in told.items("artifacts")]
    return tuple(sorted(f"{package}:{version}" for package, version in named if package and version))


def read_begun(job: Item) -> BegunRollout:
    """A job, as what was begun; to the second, as its executions tell time."""
    at = job.number("createdAt")
    return BegunRollout(job.text("jobId") or "", read_seconds(int(at)) if at else None)


def read_deployment(job: Item, artifact_ids: Sequence[str]) -> Deployment:
    """A job, as what a group was given."""
    name = job.text("jobId") or ""
    return Deployment(name, name, tuple(artifact_ids), read_seconds(job.number("createdAt")))


def read_execution(plan: RolloutPlan, execution: Item, words: str | None) -> DeviceFirmware | None:
    """How far one thing is; None for one that was taken out of the job."""
    summary = execution.item("jobExecutionSummary")
    thing = name_thing(execution)
    status = summary.text("status") or ""
    state = STATES.get(status)
    if not thing or state is None:
        return None
    at = read_seconds(summary.number("lastUpdatedAt") or summary.number("queuedAt"))
    message = words or WORDS.get(status)
    packages = {
        each.package: OtaEvent(
            thing,
            each.package,
            state,
            at,
            each.version if state == "updated" else None,
            each.version,
            message=message,
        )
        for each in plan.artifacts
    }
    return DeviceFirmware(thing, packages)


def name_thing(execution: Item) -> str:
    """The thing that an execution is of."""
    return (execution.text("thingArn") or "").partition(":thing/")[2]


def is_failed(execution: Item) -> bool:
    """Whether the thing itself may have said why it failed."""
    return execution.item("jobExecutionSummary").text("status") in {"FAILED", "REJECTED"}


def read_reason(reply: object) -> str | None:
    """What a device said of its failure, as `name: value` of its status details."""
    details = Item(reply).item("execution").item("statusDetails").item("detailsMap")
    told = [f"{name}: {text}" for name in sorted(details.fields) if (text := details.text(name, 200))]
    return "; ".join(told)[:500] or None


def read_seconds(seconds: float | None) -> str | None:
    """A moment as AWS writes it, in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds and 0 < seconds < 1e11 else None  # noqa: PLR2004 - far beyond any clock


def _sign(address: str, how: JobSettings) -> str:
    return f"${{aws:iot:s3-presigned-url:{address}}}" if how.download_role_arn else address
