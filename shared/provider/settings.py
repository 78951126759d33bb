"""Settings: what devices get from the other side."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from pydantic import JsonValue

from shared.provider.base import Capability

DataType = Literal["integer", "float", "string", "boolean"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: for all devices, for those of a blueprint, or for one `device` (its external id)."""

    key: str
    data_type: DataType
    value: JsonValue
    device: str | None = None
    blueprint_id: str | None = None
    id: str = ""
    created_at: str | None = None
    updated_at: str | None = None


class DeviceSettings(Protocol):
    """The settings of one integration. Every call may raise OutsideError subclasses."""

    def find(self, device: str | None, blueprint_id: str | None) -> list[Setting]:
        """All of them, or those of a device or a blueprint."""

    def create(self, setting: Setting) -> Setting:
        """Create `setting`; its `id` is the other side's."""

    def change(self, setting_id: str, value: JsonValue) -> Setting:
        """Give it another value."""

    def remove(self, setting_id: str) -> None:
        """Remove it."""


class SettingsKeeper(Capability):
    """A provider that keeps settings for devices."""

    capability: ClassVar[str] = "settings"
    lacking: ClassVar[str] = "device settings"

    @abstractmethod
    def settings(self) -> DeviceSettings:
        """The settings that devices get from the other side."""
