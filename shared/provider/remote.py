"""What some providers keep at their side and let us read and write: the state of a device, and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

DataType = Literal["integer", "float", "string", "boolean"]
Path = tuple[str, ...]
"""Names from the root of a tree to a value in it; empty for the root."""


class DeviceState(Protocol):
    """The tree of values that the cloud and one device share. Every call may raise OutsideError subclasses."""

    def read(self, path: Path) -> Any:
        """The value at `path`; None where there is none."""

    def write(self, path: Path, value: Any, *, merge: bool) -> Any:
        """Write `value`, merged into what is there where the caller says so; what is there now."""

    def remove(self, path: Path) -> None:
        """Remove what is at `path`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: for all devices, for those of a blueprint, or for one `device` (its external id)."""

    key: str
    data_type: DataType
    value: Any
    device: str | None = None
    blueprint_id: str | None = None
    id: str = ""
    created_at: str | None = None
    updated_at: str | None = None


class Settings(Protocol):
    """The settings of one integration. Every call may raise OutsideError subclasses."""

    def find(self, device: str | None, blueprint_id: str | None) -> list[Setting]:
        """All of them, or those of a device or a blueprint."""

    def create(self, setting: Setting) -> Setting:
        """Create `setting`; its `id` is the other side's."""

    def change(self, setting_id: str, value: Any) -> Setting:
        """Give it another value."""

    def remove(self, setting_id: str) -> None:
        """Remove it."""
