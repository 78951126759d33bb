"""Artifacts, packages, cohorts and deployments at the platform of an integration, for its admins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.integrations.remote_calls import reach_provider, record_write
from shared.integrations.scope import read_id
from shared.provider.firmware import MAIN_PACKAGE, Deployment, Firmware, Listing, NewArtifact
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Conflict, Problem, ProviderRefused, UnsupportedMediaType
from shared.runtime.web.rate_limits import TESTS, WRITES, Budget
from shared.runtime.web.routing import Call, Reply, Router, parse_model

ARTIFACT_LIMIT = 16 * 1_048_576
"""Bytes of an image that is sent as it is."""

CALL_SECONDS = 25.0
UPLOAD_SECONDS = 90.0
MOST_ARTIFACTS = 20

Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
"""A version, a package: without spaces and control characters."""
PlatformId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_:-][A-Za-z0-9._:-]*$")]
"""An id of the platform's; none that would lead elsewhere in a path."""
PlatformName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
    ),
]
"""A name of one line, with something to be seen."""


class Body(BaseModel):
    """What callers send: no fields but its own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ArtifactNames(Body):
    """What an artifact is of; in the query where the body is the image."""

    package: Word = MAIN_PACKAGE
    version: Word
    blueprint_id: PlatformId | None = None


class UploadedArtifact(ArtifactNames):
    """The body of POST …/artifacts as JSON: the image in base64."""

    content: bytes = Field(min_length=1)

    @field_validator("content", mode="before")
    @classmethod
    def _decode(cls, value: Any) -> bytes:
        try:
            return base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise ValueError("must be the image in base64") from None


class Named(Body):
    """What a path or a query names at the platform."""

    artifact_id: PlatformId = ""
    cohort_id: PlatformId = ""


class NewCohort(Body):
    """The body of POST …/cohorts."""

    name: PlatformName


class NewDeployment(Body):
    """The body of POST …/deployments; the cohort may stand in the query instead."""

    cohort_id: PlatformId | None = None
    name: PlatformName
    artifact_ids: Annotated[list[PlatformId], Field(min_length=1, max_length=MOST_ARTIFACTS)]


def add_artifact_routes(router: Router) -> None:
    """The calls below an integration's path."""
    router.route("GET", "/{id}/artifacts")(list_artifacts)
    router.route("POST", "/{id}/artifacts")(upload_artifact)
    router.route("GET", "/{id}/artifacts/{artifact_id}")(get_artifact)
    router.route("DELETE", "/{id}/artifacts/{artifact_id}")(delete_artifact)
    router.route("GET", "/{id}/cohorts")(list_cohorts)
    router.route("POST", "/{id}/cohorts")(create_cohort)
    router.route("GET", "/{id}/packages")(list_packages)
    router.route("GET", "/{id}/deployments")(list_deployments)
    router.route("POST", "/{id}/deployments")(create_deployment)


@contextmanager
def open_firmware(call: Call, budget: Budget, seconds: float = CALL_SECONDS) -> Iterator[Firmware]:
    """The firmware of the integration in the path, for an admin with a token left.

    Errors: Forbidden, NotFound, RateLimited, NotSupported; what the platform says, without our secrets: BadRequest,
    NotFound and Conflict where it speaks of what the caller sent, other OutsideErrors.
    """
    _ = call.user
    provider = reach_provider(call, budget)
    with provider.firmware(Deadline(seconds)) as firmware:
        try:
            yield firmware
        except Problem as problem:
            problem.detail = provider.mask_text(problem.detail)
            if isinstance(problem, ProviderRefused) and problem.answered == HTTPStatus.BAD_REQUEST:
                raise BadRequest(problem.detail) from None
            raise


def list_artifacts(call: Call) -> Reply:
    """One page of the artifacts."""
    return _list_page(call, "artifacts", lambda firmware, after: firmware.list_artifacts(after))


def get_artifact(call: Call) -> Reply:
    """One artifact."""
    with open_firmware(call, TESTS) as firmware:
        return Reply({"artifact": asdict(firmware.read_artifact(_name_artifact(call)))})


def upload_artifact(call: Call) -> Reply:
    """Upload an image; 201. The body is read once its sender is known to be an admin.

    Conflict where the platform has this version of the package.
    """
    with open_firmware(call, WRITES, UPLOAD_SECONDS) as firmware:
        new = _read_upload(call)
        if firmware.has_version(new.package, new.version):
            raise Conflict(f"There is a version {new.version} of {new.package} already; choose another.")
        _record_upload(call, new)
        artifact = firmware.add_artifact(new)
    location = f"/functions/v1/integrations/{read_id(call)}/artifacts/{artifact.id}"
    return Reply({"artifact": asdict(artifact)}, HTTPStatus.CREATED, {"Location": location})


def delete_artifact(call: Call) -> Reply:
    """Delete an artifact; Conflict while something uses it."""
    with open_firmware(call, WRITES) as firmware:
        artifact_id = _name_artifact(call)
        record_write(call, "artifacts", "delete", {"artifact_id": artifact_id})
        firmware.delete_artifact(artifact_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


def list_cohorts(call: Call) -> Reply:
    """One page of the cohorts."""
    return _list_page(call, "cohorts", lambda firmware, after: firmware.list_cohorts(after))


def create_cohort(call: Call) -> Reply:
    """Make a cohort; 201."""
    with open_firmware(call, WRITES) as firmware:
        name = call.json(NewCohort).name
        record_write(call, "cohorts", "insert", {"name": name})
        cohort = firmware.add_cohort(name)
    return Reply({"cohort": asdict(cohort)}, HTTPStatus.CREATED)


def list_packages(call: Call) -> Reply:
    """One page of the packages."""
    return _list_page(call, "packages", lambda firmware, after: firmware.list_packages(after))


def list_deployments(call: Call) -> Reply:
    """One page of what a cohort was given; `cohort_id` says which."""

    def list_some(firmware: Firmware, after: str | None) -> Listing[Deployment]:
        return firmware.list_deployments(_name_cohort(call), after)

    return _list_page(call, "deployments", list_some)


def create_deployment(call: Call) -> Reply:
    """Give a cohort other firmware without following what comes of it; 201. See rollouts for the rest."""
    with open_firmware(call, WRITES) as firmware:
        new = call.json(NewDeployment)
        cohort_id = new.cohort_id or _name_cohort(call)
        named = {"cohort_id": cohort_id, "name": new.name, "artifact_ids": new.artifact_ids}
        record_write(call, "deployments", "insert", named)
        deployment = firmware.add_deployment(cohort_id, new.name, new.artifact_ids)
    return Reply({"deployment": asdict(deployment)}, HTTPStatus.CREATED)


def _name_artifact(call: Call) -> str:
    return parse_model(Named, {"artifact_id": call.parameters["artifact_id"]}).artifact_id


def _name_cohort(call: Call) -> str:
    return parse_model(Named, {"cohort_id": call.query("cohort_id")}).cohort_id


def _read_upload(call: Call) -> NewArtifact:
    if call.request.mimetype == "application/octet-stream":
        given = {name: call.query(name) for name in ArtifactNames.model_fields}
        names = parse_model(ArtifactNames, {name: value for name, value in given.items() if value})
        content = call.read_large(ARTIFACT_LIMIT)
        if not content:
            raise BadRequest("The body is empty; send the image in it.")
        return NewArtifact(names.package, names.version, content, names.blueprint_id)
    if call.request.mimetype != "application/json":
        raise UnsupportedMediaType(
            "Send the image as `Content-Type: application/octet-stream`, or in base64 as `application/json`."
        )
    body = call.json(UploadedArtifact)
    return NewArtifact(body.package, body.version, body.content, body.blueprint_id)


def _record_upload(call: Call, new: NewArtifact) -> None:
    names = {"package": new.package, "version": new.version, "blueprint_id": new.blueprint_id}
    record_write(call, "artifacts", "insert", names | {"bytes": len(new.content)})


def _list_page(call: Call, name: str, read: Callable[[Firmware, str | None], Listing[Any]]) -> Reply:
    with open_firmware(call, TESTS) as firmware:
        page = read(firmware, call.query("cursor"))
    return Reply({name: [asdict(item) for item in page.items], "next_cursor": page.after})
