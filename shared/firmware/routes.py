"""Firmware at an integration's platform, for its admins: artifacts, cohorts, packages, deployments, rollouts."""

from __future__ import annotations

from http import HTTPStatus

from shared.firmware import artifacts, bodies, rollouts
from shared.firmware.artifacts import open_firmware
from shared.integrations.remote_calls import REACHING, record_write
from shared.integrations.scope import list_page
from shared.runtime.bodies import parse_model
from shared.runtime.errors import Conflict
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routes import Routes

READING: dict[str, object] = {"budget": TESTS, "problems": (*REACHING, Conflict)}
WRITING: dict[str, object] = {"budget": WRITES, "problems": (*REACHING, Conflict)}
CREATING = WRITING | {"status": HTTPStatus.CREATED}

routes = Routes(bodies.Words)


@routes.get("/{id}/artifacts", **READING)
def list_artifacts(call: Call, query: bodies.Listed) -> bodies.ArtifactPage:
    """List the artifacts."""
    with open_firmware(call) as firmware:
        page = firmware.list_artifacts(query.cursor)
    return {"artifacts": page.items, "next_cursor": page.after}


@routes.post(
    "/{id}/artifacts",
    **CREATING,
    reads=(bodies.UploadedArtifact, artifacts.IMAGE),
    headers=("Location",),
)
def upload_artifact(call: Call, query: bodies.ImageNames) -> bodies.OneArtifact:
    """Upload an image: as it is, up to 16 MB, or in base64 within 1 MB of JSON."""
    artifact = artifacts.upload_artifact(call, query)
    call.headers["Location"] = f"/functions/v1/integrations/{call.integration_id}/artifacts/{artifact.id}"
    return {"artifact": artifact}


@routes.get("/{id}/artifacts/{artifact_id}", **READING)
def get_artifact(call: Call) -> bodies.OneArtifact:
    """Read one artifact."""
    with open_firmware(call) as firmware:
        return {"artifact": firmware.read_artifact(call.parameters["artifact_id"])}


@routes.delete("/{id}/artifacts/{artifact_id}", **WRITING | {"status": HTTPStatus.NO_CONTENT})
def delete_artifact(call: Call) -> None:
    """Delete an artifact that nothing uses."""
    with open_firmware(call) as firmware:
        artifact_id = call.parameters["artifact_id"]
        record_write(call, "artifacts", "delete", {"artifact_id": artifact_id})
        firmware.delete_artifact(artifact_id)


@routes.get("/{id}/cohorts", **READING)
def list_cohorts(call: Call, query: bodies.Listed) -> bodies.CohortPage:
    """List the cohorts."""
    with open_firmware(call) as firmware:
        page = firmware.list_cohorts(query.cursor)
    return {"cohorts": page.items, "next_cursor": page.after}


@routes.post("/{id}/cohorts", **CREATING)
def create_cohort(call: Call, body: bodies.NewCohort) -> bodies.OneCohort:
    """Make a cohort."""
    with open_firmware(call) as firmware:
        record_write(call, "cohorts", "insert", {"name": body.name})
        return {"cohort": firmware.add_cohort(body.name)}


@routes.get("/{id}/packages", **READING)
def list_packages(call: Call, query: bodies.Listed) -> bodies.PackagePage:
    """List the packages."""
    with open_firmware(call) as firmware:
        page = firmware.list_packages(query.cursor)
    return {"packages": page.items, "next_cursor": page.after}


@routes.get("/{id}/deployments", **READING)
def list_deployments(call: Call, query: bodies.ListedDeployments) -> bodies.DeploymentPage:
    """List what a cohort was given."""
    with open_firmware(call) as firmware:
        page = firmware.list_deployments(query.cohort_id, query.cursor)
    return {"deployments": page.items, "next_cursor": page.after}


@routes.post("/{id}/deployments", **CREATING)
def create_deployment(
    call: Call, query: bodies.CohortNamed, body: bodies.NewDeployment
) -> bodies.OneDeployment:
    """Give a cohort other firmware, unfollowed; see startRollout for the rest."""
    cohort_id = (
        body.cohort_id or parse_model(bodies.ListedDeployments, {"cohort_id": query.cohort_id}).cohort_id
    )
    named = {"cohort_id": cohort_id, "name": body.name, "artifact_ids": body.artifact_ids}
    with open_firmware(call) as firmware:
        record_write(call, "deployments", "insert", named)
        return {"deployment": firmware.add_deployment(cohort_id, body.name, body.artifact_ids)}


@routes.get("/{id}/rollouts")
def list_rollouts(call: Call, query: bodies.RolloutFilters) -> bodies.RolloutPage:
    """List the rollouts of an integration, newest first."""
    rows, next_cursor = list_page(call, bodies.RolloutRow, "firmware_rollouts", query)
    return {"rollouts": rows, "next_cursor": next_cursor}


@routes.post("/{id}/rollouts", **WRITING | {"status": HTTPStatus.ACCEPTED}, headers=("Location",))
def start_rollout(call: Call, body: bodies.NewRollout) -> bodies.OneRollout:
    """Start a rollout of firmware to a cohort or to the devices with a tag; it begins with the next tick."""
    rollout = rollouts.start_rollout(call, body)
    call.headers["Location"] = f"/functions/v1/integrations/{call.integration_id}/rollouts/{rollout['id']}"
    return {"rollout": rollout}


@routes.get("/{id}/rollouts/{rollout_id}")
def get_rollout(call: Call, query: bodies.UpdateFilters) -> bodies.RolloutWithDevices:
    """Read one rollout, and a page of its devices."""
    rollout = rollouts.read_rollout(call, call.parameters["rollout_id"])
    rows, next_cursor = list_page(call, bodies.UpdateRow, "firmware_updates", query, rollout_id=rollout["id"])
    return {"rollout": rollout, "devices": rows, "next_cursor": next_cursor}


@routes.post("/{id}/rollouts/{rollout_id}/cancel", **WRITING)
def cancel_rollout(call: Call) -> bodies.OneRollout:
    """End an open rollout, where the platform can."""
    return {"rollout": rollouts.cancel_rollout(call)}
