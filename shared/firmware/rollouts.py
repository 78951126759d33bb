"""Rollouts: firmware to a group of devices, asked for by an admin, begun and followed by the scheduler."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from shared.firmware.artifacts import (
    MOST_ARTIFACTS,
    Body,
    PlatformId,
    PlatformName,
    add_artifact_routes,
    open_firmware,
)
from shared.integrations.scope import choose, list_page, read_id, read_part
from shared.provider.firmware import Artifact, Firmware, Plan, Target, read_plan
from shared.runtime.database.client import as_user
from shared.runtime.errors import BadRequest, Conflict, FieldError, NotFound, NotSupported
from shared.runtime.numbers import Whole
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router

STATUSES = ("starting", "running", "done", "failed", "cancelled")
STATES = ("pending", "downloading", "downloaded", "updated", "failed")
WEEK_SECONDS = 604_800

ROLLOUT_COLUMNS = (
    "id,organization_id,integration_id,name,target,artifacts,status,counts,error,reference,created_by,created_at,"
    "begun_at,started_at,swept_at,ends_at,finished_at"
)
UPDATE_COLUMNS = (
    "id,organization_id,integration_id,external_id,device_id,rollout_id,package,from_version,to_version,state,"
    "message,at,steps,created_at"
)


class NewRollout(Body):
    """The body of POST …/rollouts: what goes to whom. One of `cohort_id` and `tag_id` is needed."""

    name: PlatformName
    """The platform's name for it too: one that was not used there yet."""
    artifact_ids: Annotated[list[PlatformId], Field(min_length=1, max_length=MOST_ARTIFACTS)]
    """One of each package."""
    cohort_id: PlatformId | None = None
    tag_id: PlatformId | None = None
    time_limit_seconds: Whole = Field(WEEK_SECONDS, ge=60, le=90 * 86_400)
    """What is not updated by then has failed."""
    replace: bool = False
    """Whether it takes the place of an open rollout to the same target."""

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if (self.cohort_id is None) == (self.tag_id is None):
            raise ValueError("send either cohort_id or tag_id")
        return self


def add_firmware_routes(router: Router) -> None:
    """The calls about firmware, below an integration's path."""
    add_artifact_routes(router)
    router.route("GET", "/{id}/rollouts")(list_rollouts)
    router.route("POST", "/{id}/rollouts")(start_rollout)
    router.route("GET", "/{id}/rollouts/{rollout_id}")(get_rollout)
    router.route("POST", "/{id}/rollouts/{rollout_id}/cancel")(cancel_rollout)


def list_rollouts(call: Call) -> Reply:
    """One page of its rollouts, newest first; `status` narrows it."""
    filters = {"status": choose(call, "status", STATUSES)}
    return list_page(call, "firmware_rollouts", ROLLOUT_COLUMNS, filters, "rollouts")


def get_rollout(call: Call) -> Reply:
    """One rollout with a page of its devices; `state` narrows it."""
    rollout = _read_rollout(call)
    filters = {"rollout_id": rollout["id"], "state": choose(call, "state", STATES)}
    page = list_page(call, "firmware_updates", UPDATE_COLUMNS, filters, "devices")
    return Reply({"rollout": rollout} | page.body)


def start_rollout(call: Call) -> Reply:
    """Take a rollout; 202, for it begins with the next tick.

    Errors: BadRequest for artifacts or a cohort the platform does not know, Conflict while one to the same target is
    open, or where the platform has something of this name.
    """
    with open_firmware(call, WRITES) as firmware:
        new = call.json(NewRollout)
        plan = _make_plan(firmware, new)
        if firmware.find(plan):
            raise Conflict(f"The platform has something named {new.name} already; choose another name.")
        if new.replace:
            _withdraw_open(call, firmware, plan.target)
    rollout_id = as_user(call.user.token).call(
        "start_rollout",
        p_integration_id=read_id(call),
        p_rollout={
            "name": plan.name,
            "target": _describe_target(plan.target),
            "artifacts": [
                {"id": artifact.id, "package": artifact.package, "version": artifact.version}
                for artifact in plan.artifacts
            ],
            "time_limit_seconds": new.time_limit_seconds,
            "replace": new.replace,
        },
    )
    location = f"/functions/v1/integrations/{read_id(call)}/rollouts/{rollout_id}"
    return Reply({"rollout": _read_rollout(call, rollout_id)}, HTTPStatus.ACCEPTED, {"Location": location})


def cancel_rollout(call: Call) -> Reply:
    """End an open rollout, at the platform too where it has begun; NotSupported where the platform can't."""
    rollout, withdrawn = _read_rollout(call), False
    if rollout["begun_at"] and rollout["status"] in STATUSES[:2]:
        with open_firmware(call, WRITES) as firmware:
            firmware.withdraw(read_plan(rollout))
        withdrawn = True
    else:
        take_tokens(call, as_user(call.user.token), WRITES, p_integration_id=read_id(call))
    as_user(call.user.token).call(
        "cancel_rollout",
        p_integration_id=read_id(call),
        p_rollout_id=rollout["id"],
        p_withdrawn=withdrawn,
    )
    return Reply({"rollout": _read_rollout(call)})


def _make_plan(firmware: Firmware, new: NewRollout) -> Plan:
    artifacts = tuple(_find_artifact(firmware, each) for each in new.artifact_ids)
    if len({artifact.package for artifact in artifacts}) < len(artifacts):
        raise BadRequest(errors=[FieldError("artifact_ids", "Send one artifact of each package.")])
    if new.cohort_id:
        try:
            firmware.read_cohort(new.cohort_id)
        except NotFound as problem:
            raise BadRequest(errors=[FieldError("cohort_id", problem.detail)]) from None
    return Plan(new.name, Target(new.cohort_id, new.tag_id), artifacts)


def _withdraw_open(call: Call, firmware: Firmware, target: Target) -> None:
    """Take back at the platform, where it can, what the new rollout takes the place of."""
    begun = {"status": f"in.({','.join(STATUSES[:2])})", "begun_at": "not.is.null"}
    query = {"select": "name,target,artifacts", "integration_id": f"eq.{read_id(call)}", **begun}
    for row in as_user(call.user.token).read("firmware_rollouts", query):
        if row["target"] == _describe_target(target):
            with suppress(NotSupported):
                firmware.withdraw(read_plan(row))


def _describe_target(target: Target) -> dict[str, str]:
    return {name: value for name, value in asdict(target).items() if value}


def _find_artifact(firmware: Firmware, artifact_id: str) -> Artifact:
    try:
        return firmware.read_artifact(artifact_id)
    except NotFound as problem:
        raise BadRequest(errors=[FieldError("artifact_ids", problem.detail)]) from None


def _read_rollout(call: Call, rollout_id: str | None = None) -> dict[str, Any]:
    wanted = rollout_id or call.parameters["rollout_id"]
    return read_part(call, "firmware_rollouts", ROLLOUT_COLUMNS, rollout_id=wanted)
