"""The shapes of replies about firmware."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import AwareDatetime

from scripts.openapi.replies import Answer
from shared.firmware.rollouts import STATES, STATUSES


class Artifact(Answer):
    """One version of one package at the platform; `size` in bytes."""

    id: str
    package: str
    version: str
    size: int | None
    created_at: AwareDatetime | None
    blueprint_id: str | None


class OneArtifact(Answer):
    """One artifact."""

    artifact: Artifact


class ArtifactPage(Answer):
    """One page, in the platform's order."""

    artifacts: list[Artifact]
    next_cursor: str | None


class Cohort(Answer):
    """Devices that get the same firmware."""

    id: str
    name: str
    device_count: int
    active_deployment_id: str | None


class OneCohort(Answer):
    """One cohort."""

    cohort: Cohort


class CohortPage(Answer):
    """One page, in the platform's order."""

    cohorts: list[Cohort]
    next_cursor: str | None


class Package(Answer):
    """One part of a device that is updated for itself."""

    id: str
    description: str
    metadata: dict[str, str]


class PackagePage(Answer):
    """One page, in the platform's order."""

    packages: list[Package]
    next_cursor: str | None


class Deployment(Answer):
    """What a cohort was given to run."""

    id: str
    name: str
    artifact_ids: list[str]
    created_at: AwareDatetime | None


class OneDeployment(Answer):
    """One deployment."""

    deployment: Deployment


class DeploymentPage(Answer):
    """One page, in the platform's order."""

    deployments: list[Deployment]
    next_cursor: str | None


class Rollout(Answer):
    """Firmware on its way to a group of devices; `counts` has how many devices are in each state."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    name: str
    target: dict[str, str]
    artifacts: list[dict[str, str]]
    status: Literal[STATUSES]  # type: ignore[valid-type] # a tuple of the names
    counts: dict[str, int]
    error: str | None
    reference: str | None
    created_by: uuid.UUID | None
    created_at: AwareDatetime
    begun_at: AwareDatetime | None
    started_at: AwareDatetime | None
    swept_at: AwareDatetime | None
    ends_at: AwareDatetime
    finished_at: AwareDatetime | None


class OneRollout(Answer):
    """One rollout."""

    rollout: Rollout


class RolloutPage(Answer):
    """One page, newest first."""

    rollouts: list[Rollout]
    next_cursor: str | None


class Update(Answer):
    """One update of one package of one device, and the steps it took."""

    id: int
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    external_id: str
    device_id: uuid.UUID | None
    rollout_id: uuid.UUID | None
    package: str
    from_version: str | None
    to_version: str
    state: Literal[STATES]  # type: ignore[valid-type] # a tuple of the names
    message: str | None
    at: AwareDatetime
    steps: list[dict[str, str]]
    created_at: AwareDatetime


class RolloutWithDevices(OneRollout):
    """One rollout with a page of its devices, newest first."""

    devices: list[Update]
    next_cursor: str | None


FIRMWARE_REPLIES = (
    *(OneArtifact, ArtifactPage, OneCohort, CohortPage, PackagePage, OneDeployment, DeploymentPage),
    *(OneRollout, RolloutPage, RolloutWithDevices),
)
