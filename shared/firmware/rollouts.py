"""Rollouts: firmware to a group of devices, asked for by an admin, begun and followed by the scheduler."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

from typing_extensions import TypedDict

from shared.firmware.artifacts import open_firmware
from shared.firmware.bodies import NewRollout, RolloutRow
from shared.integrations.scope import read_part
from shared.provider import Artifact, Firmware, RolloutPlan, RolloutTarget, read_plan
from shared.runtime.errors import BadRequest, Conflict, FieldError, NotFound, NotSupported
from shared.runtime.web.call import Call

OPEN = ("starting", "running")


class _Planned(TypedDict):
    """What a rollout was to do."""

    name: str
    target: dict[str, str]
    artifacts: list[dict[str, str]]


def start_rollout(call: Call, new: NewRollout) -> RolloutRow:
    """Take a rollout, which begins with the next tick.

    Errors: BadRequest for artifacts or a cohort the platform does not know, Conflict while one to the same target is
    open, or where the platform has something of this name.
    """
    with open_firmware(call) as firmware:
        plan = _make_plan(firmware, new)
        if firmware.find(plan):
            raise Conflict(f"The platform has something named {new.name} already; choose another name.")
        if new.replace:
            _withdraw_open(call, firmware, plan.target)
    rollout_id: str = call.database.call(
        "start_rollout",
        p_integration_id=call.integration_id,
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
    return read_rollout(call, rollout_id)


def cancel_rollout(call: Call) -> RolloutRow:
    """End an open rollout, at the platform too where it has begun; NotSupported where the platform can't."""
    rollout = read_rollout(call, call.parameters["rollout_id"])
    withdrawn = bool(rollout["begun_at"]) and rollout["status"] in OPEN
    if withdrawn:
        with open_firmware(call) as firmware:
            firmware.withdraw(read_plan(rollout))
    call.database.call(
        "cancel_rollout",
        p_integration_id=call.integration_id,
        p_rollout_id=rollout["id"],
        p_withdrawn=withdrawn,
    )
    return read_rollout(call, rollout["id"])


def read_rollout(call: Call, rollout_id: str) -> RolloutRow:
    """One rollout of the integration in the path."""
    return read_part(call, RolloutRow, "firmware_rollouts", rollout_id)


def _make_plan(firmware: Firmware, new: NewRollout) -> RolloutPlan:
    artifacts = tuple(_find_artifact(firmware, each) for each in new.artifact_ids)
    if len({artifact.package for artifact in artifacts}) < len(artifacts):
        raise BadRequest(errors=[FieldError("artifact_ids", "Send one artifact of each package.")])
    if new.cohort_id:
        try:
            firmware.read_cohort(new.cohort_id)
        except NotFound as problem:
            raise BadRequest(errors=[FieldError("cohort_id", problem.detail)]) from None
    return RolloutPlan(new.name, RolloutTarget(new.cohort_id, new.tag_id), artifacts)


def _withdraw_open(call: Call, firmware: Firmware, target: RolloutTarget) -> None:
    """Take back at the platform, where it can, what the new rollout takes the place of."""
    begun = {"status": f"in.({','.join(OPEN)})", "begun_at": "not.is.null"}
    query = {"integration_id": f"eq.{call.integration_id}", **begun}
    for row in call.database.read(_Planned, "firmware_rollouts", query):
        if row["target"] == _describe_target(target):
            with suppress(NotSupported):
                firmware.withdraw(read_plan(row))


def _describe_target(target: RolloutTarget) -> dict[str, str]:
    return {name: value for name, value in asdict(target).items() if value}


def _find_artifact(firmware: Firmware, artifact_id: str) -> Artifact:
    try:
        return firmware.read_artifact(artifact_id)
    except NotFound as problem:
        raise BadRequest(errors=[FieldError("artifact_ids", problem.detail)]) from None
