"""Devices: those that the other side manages, what can be done with them there, and the rules of their sync."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypedDict

from pydantic import Field, model_validator

from shared.provider.base import Capability
from shared.provider.form import Group
from shared.runtime.deadline import Deadline
from shared.runtime.errors import NotSupported

SYNC_SECONDS = 900
SHORTEST_SYNC_SECONDS = 60

Direction = Literal["import", "export", "both"]
Credentials = Literal["psk", "certificate", "none"]
Policy = Literal["local", "remote", "newest", "manual"]

_SYNC = (
    *("sync_direction", "sync_interval_seconds", "sync_conflicts", "sync_create_missing"),
    *("sync_update_existing", "sync_limit"),
)
_DIRECTIONS: dict[str, Any] = {
    "off": "Off",
    "import": "From there to here",
    "export": "From here to there",
    "both": "Both ways",
}
_POLICIES: dict[str, Any] = {
    "local": "What is here counts",
    "remote": "What is there counts",
    "newest": "The newest counts",
    "manual": "A person decides",
}


class SettingsError(TypedDict):
    """A setting that a device has refused, and its code for why."""

    key: str | None
    code: int


class SettingsStatus(TypedDict):
    """Whether a device has its settings, and which it has refused."""

    status: str
    errors: list[SettingsError]


@dataclass(frozen=True, slots=True)
class RemoteDevice:
    """One device as the provider has it, in the shape the SQL functions take.

    `id` is what its messages come under. Tags and hardware ids are sorted, without repetitions. Times are ISO 8601 with
    an offset, None where they are not known. `firmware` holds by package what it runs and what it is to run;
    `firmware_version` is that of its main package. `attributes` are what else the provider keeps of it.
    """

    id: str
    name: str
    hardware_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cohort: str | None = None
    enabled: bool = True
    updated_at: str | None = None
    last_online: str | None = None
    last_offline: str | None = None
    last_report: str | None = None
    firmware_version: str | None = None
    firmware: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: SettingsStatus | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some devices, and where the next page begins; None after the last."""

    devices: list[RemoteDevice]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to be created at the provider."""

    name: str
    hardware_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cohort: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What a device at the provider is to have from now on; what is left out stays."""

    name: str | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()


class Directory(ABC):
    """The devices of one account. Every call raises OutsideErrors; ProviderRefused has the provider's status.

    `narrowed` says that `list_page` leaves devices out, which `get` still finds.
    """

    narrowed: bool = False
    makes_certificates: ClassVar[bool] = False
    """Whether `certify` is there, so that the other side is no authority's."""

    @abstractmethod
    def list_page(self, cursor: str | None) -> DevicePage:
        """The page at `cursor`, the first where there is none."""

    @abstractmethod
    def get(self, device_id: str) -> RemoteDevice | None:
        """The device of this id; None where there is none."""

    @abstractmethod
    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """The device that has one of the hardware ids, or else the very name; None where there is none."""

    @abstractmethod
    def create(self, wanted: NewDevice) -> RemoteDevice:
        """Create it; sent once, so that after a TimedOut it may be there or not."""

    @abstractmethod
    def update(self, device_id: str, change: DeviceChange) -> None:
        """Change it; doing it twice does no harm."""

    @abstractmethod
    def delete(self, device_id: str) -> None:
        """Delete it; one that is not there is deleted already."""

    @abstractmethod
    def add_key(self, device_id: str, identity: str, key: str) -> None:
        """Let it sign in with a pre-shared key; the identity is added once."""

    @abstractmethod
    def name_identity(self, name: str) -> str:
        """The identity a device of this name signs in with."""

    @abstractmethod
    def add_authority(self, certificate: str) -> None:
        """Accept certificates of devices that this authority (PEM) has signed; it is added once."""

    @abstractmethod
    def describe_certificate(self, name: str) -> dict[str, str]:
        """What the subject of the certificate of a device of this name has to be."""

    def check_credentials(self, wanted: NewDevice, kind: Credentials) -> None:  # noqa: B027 - most take all of them
        """BadRequest, naming the field and the remedy, where the device could not sign in with them."""

    def settle(self, device_id: str, wanted: NewDevice) -> RemoteDevice | None:  # noqa: ARG002 - most create all of it at once
        """Do what `create` does not do in its one step; doing it twice does no harm.

        The device as it is then; None where it is as it was.
        """
        return None

    def certify(self, device_id: str, request: str, *, again: bool = False) -> str:  # noqa: ARG002 - for who makes any
        """Let it sign in with a certificate that is made of a request (PEM), which is given; for a key there is one.

        `again`: an earlier try may have made it, and its answer got lost.
        """
        raise NotSupported(f"No certificate can be made for {device_id} of {len(request)} bytes.")


class Syncer(Capability):
    """A provider that manages devices itself."""

    capability: ClassVar[str] = "devices"
    lacking: ClassVar[str] = "device list"
    read_in_sql: ClassVar[frozenset[str]] = frozenset({"sync_direction", "sync_interval_seconds"})
    groups: ClassVar[tuple[Group, ...]] = (Group("Device sync", (*_SYNC, "online_minutes")),)

    # Not "off" or a Direction: what is neither would be told twice, under names that are no field's.
    sync_direction: Literal["off", "import", "export", "both"] = Field(
        "import", json_schema_extra={"x-labels": _DIRECTIONS}
    )
    """Which way devices are brought into step: from there to here, from here to there, or both ways."""
    sync_interval_seconds: Annotated[int, Field(ge=SHORTEST_SYNC_SECONDS, le=604_800)] = SYNC_SECONDS
    """How long after a sync the next one is due."""
    sync_conflicts: Policy = Field("manual", json_schema_extra={"x-labels": _POLICIES})
    """Who has the say where both sides changed a name or tags; manual records it and changes neither."""
    sync_create_missing: bool = Field(default=True, title="Create missing devices")
    """Whether devices that only one side has are created on the other."""
    sync_update_existing: bool = Field(default=True, title="Update existing devices")
    """Whether devices that both sides have are changed."""
    sync_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(None, title="Most new devices")
    """At most so many new devices in one run."""
    online_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(60, title="Online for")
    """A device counts as online for so long after its last report, where nothing better is known."""

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        return {"sync_direction": "import", **data} if isinstance(data, dict) else data

    @abstractmethod
    def devices(self, deadline: Deadline) -> AbstractContextManager[Directory]:
        """The devices the other side manages, while the block runs; every call on them ends by `deadline`."""
