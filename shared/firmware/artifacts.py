"""Artifacts at the platform of an integration: an image uploaded, as it is or as JSON, for its admins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from shared.firmware.bodies import ArtifactNames, ImageNames, UploadedArtifact
from shared.integrations.remote_calls import reach_provider, record_write
from shared.provider import Artifact, Firmware, FirmwareKeeper, NewArtifact
from shared.runtime.bodies import parse_model
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Conflict, Problem, ProviderRefused, UnsupportedMediaType
from shared.runtime.web.call import Call

ARTIFACT_LIMIT = 16 * 1_048_576
"""Bytes of an image that is sent as it is."""

IMAGE = "application/octet-stream"
CALL_SECONDS = 25.0
UPLOAD_SECONDS = 90.0


@contextmanager
def open_firmware(call: Call, seconds: float = CALL_SECONDS) -> Iterator[Firmware]:
    """The firmware of the integration in the path, for an admin.

    Errors: Forbidden, NotFound, NotSupported; what the platform says, without our secrets: BadRequest, NotFound and
    Conflict where it speaks of what the caller sent, other OutsideErrors.
    """
    provider = reach_provider(call, FirmwareKeeper)
    with provider.firmware(Deadline(seconds)) as firmware:
        try:
            yield firmware
        except Problem as problem:
            problem.detail = provider.mask_text(problem.detail)
            if isinstance(problem, ProviderRefused) and problem.answered == HTTPStatus.BAD_REQUEST:
                raise BadRequest(problem.detail) from None
            raise


def upload_artifact(call: Call, query: ImageNames) -> Artifact:
    """Upload an image. The body is read once its sender is known to be an admin.

    Conflict where the platform has this version of the package.
    """
    with open_firmware(call, UPLOAD_SECONDS) as firmware:
        new = _read_upload(call, query)
        if firmware.has_version(new.package, new.version):
            raise Conflict(f"There is a version {new.version} of {new.package} already; choose another.")
        names = {"package": new.package, "version": new.version, "blueprint_id": new.blueprint_id}
        record_write(call, "artifacts", "insert", {**names, "bytes": len(new.content)})
        return firmware.add_artifact(new)


def _read_upload(call: Call, query: ImageNames) -> NewArtifact:
    media_type = call.request.mimetype
    if media_type == IMAGE:
        names = parse_model(ArtifactNames, query.model_dump(exclude_none=True))
        content = call.read_large(ARTIFACT_LIMIT)
        if not content:
            raise BadRequest("The body is empty; send the image in it.")
        return NewArtifact(names.package, names.version, content, names.blueprint_id)
    if media_type != "application/json":
        raise UnsupportedMediaType(
            f"Send the image as `Content-Type: {IMAGE}`, or in base64 as `application/json`."
        )
    body = call.json(UploadedArtifact)
    return NewArtifact(body.package, body.version, body.content, body.blueprint_id)
