"""Firmware at an integration's platform: artifacts, cohorts, packages, deployments, rollouts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from scripts.openapi.headers import LIMITS, LOCATION
from scripts.openapi.operation import PAGE, Operation, in_query
from scripts.openapi.problems import ADMINS_ONLY, ALWAYS, NAMING_ONE, OUTSIDE, READING_BODY
from shared.firmware.rollouts import STATES, STATUSES
from shared.runtime.errors import Conflict, InvalidConfig, NotSupported, RateLimited, VaultError

_SEE = (*ALWAYS, *NAMING_ONE)
_REACH = (*_SEE, *ADMINS_ONLY, *OUTSIDE, Conflict, InvalidConfig, NotSupported, RateLimited, VaultError)
_WRITE = (*_REACH, *READING_BODY)

_CURSOR = PAGE[1]
_COHORT = in_query("cohort_id", "Which cohort's; needed.")
_NAMES = (
    in_query("package", "Of which package, where the body is the image; `main` where absent."),
    in_query("version", "Which version, where the body is the image; without spaces."),
    in_query("blueprint_id", "For which blueprint, where the body is the image."),
)


def _list(name: str, summary: str, reply: str, *parameters: dict[str, Any]) -> Operation:
    return Operation(name, summary, _REACH, reply=(reply,), parameters=(*parameters, _CURSOR), headers=LIMITS)


def _create(name: str, summary: str, body: str, reply: str) -> Operation:
    created = HTTPStatus.CREATED
    return Operation(name, summary, _WRITE, reply=(reply,), status=created, body=body, headers=LIMITS)


_UPLOAD = Operation(
    "uploadArtifact",
    "Upload an image: as it is, up to 16 MB, or in base64 within 1 MB of JSON",
    _WRITE,
    reply=("OneArtifact",),
    status=HTTPStatus.CREATED,
    body="UploadedArtifact",
    raw_body="application/octet-stream",
    parameters=_NAMES,
    headers=LIMITS | LOCATION,
)
_ARTIFACT = Operation("getArtifact", "Read one artifact", _REACH, reply=("OneArtifact",), headers=LIMITS)
_DELETE = Operation(
    "deleteArtifact",
    "Delete an artifact that nothing uses",
    _REACH,
    status=HTTPStatus.NO_CONTENT,
    headers=LIMITS,
)
_ROLLOUTS = Operation(
    "listRollouts",
    "List the rollouts of an integration, newest first",
    _SEE,
    reply=("RolloutPage",),
    parameters=(in_query("status", "Only with this status.", enum=[*STATUSES]), *PAGE),
)
_START = Operation(
    "startRollout",
    "Start a rollout of firmware to a cohort or to the devices with a tag; it begins with the next tick",
    _WRITE,
    reply=("OneRollout",),
    status=HTTPStatus.ACCEPTED,
    body="NewRollout",
    headers=LIMITS | LOCATION,
)
_ROLLOUT = Operation(
    "getRollout",
    "Read one rollout, and a page of its devices",
    _SEE,
    reply=("RolloutWithDevices",),
    parameters=(in_query("state", "Only devices in this state.", enum=[*STATES]), *PAGE),
)
_CANCEL = Operation(
    "cancelRollout",
    "End an open rollout, where the platform can",
    _REACH,
    reply=("OneRollout",),
    headers=LIMITS,
)

FIRMWARE_OF_ONE = {
    "artifacts": {"get": _list("listArtifacts", "List the artifacts", "ArtifactPage"), "post": _UPLOAD},
    "artifacts/{artifact_id}": {"get": _ARTIFACT, "delete": _DELETE},
    "cohorts": {
        "get": _list("listCohorts", "List the cohorts", "CohortPage"),
        "post": _create("createCohort", "Make a cohort", "NewCohort", "OneCohort"),
    },
    "packages": {"get": _list("listPackages", "List the packages", "PackagePage")},
    "deployments": {
        "get": _list("listDeployments", "List what a cohort was given", "DeploymentPage", _COHORT),
        "post": _create(
            "createDeployment", "Give a cohort other firmware, unfollowed", "NewDeployment", "OneDeployment"
        ),
    },
    "rollouts": {"get": _ROLLOUTS, "post": _START},
    "rollouts/{rollout_id}": {"get": _ROLLOUT},
    "rollouts/{rollout_id}/cancel": {"post": _CANCEL},
}
"""What follows the path of one integration."""
