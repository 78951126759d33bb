"""Firmware at a platform: artifacts, who gets which of them, and how far each device is with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from shared.provider.base import Capability
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest

UpdateState = Literal["pending", "downloading", "downloaded", "updated", "failed"]
Heard = UpdateState | Literal["idle"]
"""What a device may say: idle is no step, but shows what it runs."""

MAIN_PACKAGE = "main"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of one package; `size` in bytes."""

    id: str
    package: str
    version: str
    size: int | None = None
    created_at: str | None = None
    blueprint_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """What is uploaded: `content` is the image as the device gets it."""

    package: str
    version: str
    content: bytes = field(repr=False)
    blueprint_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """Devices that get the same firmware; `device_count` is None where the platform does not tell it."""

    id: str
    name: str
    device_count: int | None
    active_deployment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """One part of a device that is updated for itself."""

    id: str
    description: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a cohort was given to run."""

    id: str
    name: str
    artifact_ids: tuple[str, ...]
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """Whose devices: one of the two is set."""

    cohort_id: str | None = None
    tag_id: str | None = None


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What a rollout does: `name` is the platform's name for it too, by which it is found again."""

    name: str
    target: RolloutTarget
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class BegunRollout:
    """The platform has it: its own id, and when by its own clock (ISO 8601)."""

    reference: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class OtaEvent:
    """One thing said of one device's update of one package.

    `state` is None where it can't be told from what was said. `at` is ISO 8601 with an offset, None where it was not
    said. `event_type` is the platform's word for it, empty where the device was read instead.
    """

    device: str
    package: str
    state: Heard | None
    at: str | None = None
    current_version: str | None = None
    target_version: str | None = None
    event_type: str = ""
    message: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceFirmware:
    """One device of a target, with what it says of its packages."""

    device: str
    packages: Mapping[str, OtaEvent]


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """One page, and what to ask for the next one with; None on the last."""

    items: list[Item]
    after: str | None = None


class Firmware(ABC):
    """One platform's firmware, over one connection. Use it in a `with`.

    Every call ends by the deadline it was made with. Errors, in the platform's own words: NotFound, Conflict for what
    is there already or in use, other OutsideErrors.
    """

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def list_artifacts(self, after: str | None) -> Listing[Artifact]:
        """The artifacts there are."""

    @abstractmethod
    def read_artifact(self, artifact_id: str) -> Artifact:
        """One artifact."""

    @abstractmethod
    def has_version(self, package: str, version: str) -> bool:
        """Whether there is an artifact of this version already."""

    @abstractmethod
    def add_artifact(self, new: NewArtifact) -> Artifact:
        """Upload one."""

    @abstractmethod
    def delete_artifact(self, artifact_id: str) -> None:
        """Delete one."""

    @abstractmethod
    def list_cohorts(self, after: str | None) -> Listing[Cohort]:
        """The cohorts there are."""

    @abstractmethod
    def read_cohort(self, cohort_id: str) -> Cohort:
        """One cohort."""

    @abstractmethod
    def add_cohort(self, name: str) -> Cohort:
        """Make one."""

    @abstractmethod
    def list_packages(self, after: str | None) -> Listing[Package]:
        """The packages there are."""

    @abstractmethod
    def list_deployments(self, cohort_id: str, after: str | None) -> Listing[Deployment]:
        """What a cohort was given."""

    @abstractmethod
    def add_deployment(self, cohort_id: str, name: str, artifact_ids: list[str]) -> Deployment:
        """Give a cohort something else to run."""

    @abstractmethod
    def find(self, plan: RolloutPlan) -> BegunRollout | None:
        """What stands at the platform under the plan's name, where anything does."""

    @abstractmethod
    def begin(self, plan: RolloutPlan) -> BegunRollout:
        """Start it, once: what is there already under its name, with these artifacts, is taken for it."""

    @abstractmethod
    def withdraw(self, plan: RolloutPlan) -> None:
        """Take it back; NotSupported where the platform can't."""

    @abstractmethod
    def list_events(self, plan: RolloutPlan, since: str, after: str | None) -> Listing[OtaEvent]:
        """What was said of its devices since then, in any order; nothing where the platform keeps no events."""

    @abstractmethod
    def list_devices(self, plan: RolloutPlan, after: str | None) -> Listing[DeviceFirmware]:
        """Its target's devices as they are now; of one that comes twice the later counts.

        Conflict, which ends the rollout, where what stands under its name is for others.
        """


class FirmwareKeeper(Capability):
    """A provider whose platform updates devices."""

    capability: ClassVar[str] = "firmware"
    lacking: ClassVar[str] = "firmware"

    @abstractmethod
    def firmware(self, deadline: Deadline) -> Firmware:
        """The platform's firmware, for as long as a `with` and until `deadline`."""


def judge_state(event: OtaEvent, wanted: str) -> Heard | None:
    """How far the device is on its way to the version `wanted`: it has arrived when it runs it, whatever it says."""
    if event.current_version == wanted:
        return "updated"
    if event.state == "updated" and (event.current_version or event.target_version != wanted):
        # Said before the restart into the new image, which may still be rolled back.
        return "downloaded"
    return event.state


def read_plan(row: Mapping[str, Any]) -> RolloutPlan:
    """The plan of a row of `firmware_rollouts`; BadRequest where it was written past the API and makes none."""
    try:
        artifacts = tuple(
            Artifact(str(each["id"]), str(each["package"]), str(each["version"])) for each in row["artifacts"]
        )
        target = RolloutTarget(**row["target"])
    except (TypeError, KeyError):
        raise BadRequest("The target or the artifacts are not what the API writes.") from None
    if not artifacts or bool(target.cohort_id) == bool(target.tag_id):
        raise BadRequest("A rollout has artifacts, and a cohort or a tag.")
    return RolloutPlan(row["name"], target, artifacts)
