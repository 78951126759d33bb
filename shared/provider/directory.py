"""Providers that manage devices themselves: the devices as they have them, and what can be done with them there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RemoteDevice:
    """One device as the provider has it, in the shape the SQL functions take.

    `id` is what its messages come under. Tags and hardware ids are sorted, without repetitions. Times are ISO 8601 with
    an offset, None where they are not known. `firmware` holds by package what it runs and what it is to run;
    `firmware_version` is that of its main package.
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
    firmware: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None


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
