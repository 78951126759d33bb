"""What callers about firmware send, and what they get: artifacts, cohorts, packages, deployments, rollouts."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from shared.provider import MAIN_PACKAGE, Artifact, Cohort, Deployment, Package, UpdateState
from shared.runtime.bodies import Body, Moment, Query, Text, Uuid
from shared.runtime.numbers import Whole
from shared.runtime.web.paging import PageQuery

MOST_ARTIFACTS = 20
WEEK_SECONDS = 604_800

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
ArtifactIds = Annotated[list[PlatformId], Field(min_length=1, max_length=MOST_ARTIFACTS)]
RolloutStatus = Literal["starting", "running", "done", "failed", "cancelled"]


def _decode_image(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("must be the image in base64") from None


class Words(Body):
    """The parameters of paths that are the platform's ids."""

    artifact_id: PlatformId = ""


class Listed(Query):
    """Which page of the platform's; its size is the platform's too."""

    cursor: Text | None = None
    """`next_cursor` of the page before, unchanged."""


class ListedDeployments(Listed):
    """Which deployments are listed."""

    cohort_id: PlatformId = Field("", validate_default=True)
    """Which cohort's; needed."""


class CohortNamed(Query):
    """Which cohort, where the body does not say it."""

    cohort_id: PlatformId | None = None
    """Which cohort's, where the body does not say it."""


class ImageNames(Query):
    """What an image is of that comes as it is; checked as ArtifactNames then."""

    package: Text | None = None
    """Of which package, where the body is the image; `main` where absent."""
    version: Text | None = None
    """Which version, where the body is the image; without spaces."""
    blueprint_id: Text | None = None
    """For which blueprint, where the body is the image."""


class ArtifactNames(Body):
    """What an artifact is of."""

    package: Word = MAIN_PACKAGE
    version: Word
    blueprint_id: PlatformId | None = None


class UploadedArtifact(ArtifactNames):
    """The body of POST …/artifacts as JSON: the image in base64."""

    content: Annotated[
        bytes,
        BeforeValidator(_decode_image),
        Field(min_length=1),
    ]


class NewCohort(Body):
    """The body of POST …/cohorts."""

    name: PlatformName


class NewDeployment(Body):
    """The body of POST …/deployments; the cohort may stand in the query instead."""

    cohort_id: PlatformId | None = None
    name: PlatformName
    artifact_ids: ArtifactIds


class NewRollout(Body):
    """The body of POST …/rollouts: what goes to whom. One of `cohort_id` and `tag_id` is needed."""

    name: PlatformName
    """The platform's name for it too: one that was not used there yet."""
    artifact_ids: ArtifactIds
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


class RolloutFilters(PageQuery):
    """Which rollouts are listed."""

    status: RolloutStatus | None = None
    """Only with this status."""


class UpdateFilters(PageQuery):
    """Which devices of a rollout are listed."""

    state: UpdateState | None = None
    """Only devices in this state."""


OneArtifact = TypedDict("OneArtifact", {"artifact": Artifact})
ArtifactPage = TypedDict("ArtifactPage", {"artifacts": list[Artifact], "next_cursor": str | None})
OneCohort = TypedDict("OneCohort", {"cohort": Cohort})
CohortPage = TypedDict("CohortPage", {"cohorts": list[Cohort], "next_cursor": str | None})
PackagePage = TypedDict("PackagePage", {"packages": list[Package], "next_cursor": str | None})
OneDeployment = TypedDict("OneDeployment", {"deployment": Deployment})
DeploymentPage = TypedDict("DeploymentPage", {"deployments": list[Deployment], "next_cursor": str | None})


class RolloutRow(TypedDict):
    """Firmware on its way to a group of devices; `counts` has how many devices are in each state."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    name: str
    target: dict[str, str]
    artifacts: list[dict[str, str]]
    status: RolloutStatus
    counts: dict[str, int]
    error: str | None
    reference: str | None
    created_by: Uuid | None
    created_at: Moment
    begun_at: Moment | None
    started_at: Moment | None
    swept_at: Moment | None
    ends_at: Moment
    finished_at: Moment | None


OneRollout = TypedDict("OneRollout", {"rollout": RolloutRow})
RolloutPage = TypedDict("RolloutPage", {"rollouts": list[RolloutRow], "next_cursor": str | None})


class UpdateRow(TypedDict):
    """One update of one package of one device, and the steps it took."""

    id: int
    organization_id: Uuid
    integration_id: Uuid
    external_id: str
    device_id: Uuid | None
    rollout_id: Uuid | None
    package: str
    from_version: str | None
    to_version: str
    state: UpdateState
    message: str | None
    at: Moment
    steps: list[dict[str, str]]
    created_at: Moment


class RolloutWithDevices(OneRollout):
    """One rollout with a page of its devices, newest first."""

    devices: list[UpdateRow]
    next_cursor: str | None
