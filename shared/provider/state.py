"""State: the values that the cloud and one device share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol

from pydantic import JsonValue

from shared.provider.base import Capability

Path = tuple[str, ...]
"""Names from the root of a tree to a value in it; empty for the root."""


class DeviceState(Protocol):
    """The tree of values that the cloud and one device share. Every call may raise OutsideError subclasses."""

    def read(self, path: Path) -> JsonValue:
        """The value at `path`; None where there is none."""

    def write(self, path: Path, value: JsonValue, *, merge: bool) -> JsonValue:
        """Write `value`, merged into what is there where the caller says so; what is there now."""

    def remove(self, path: Path) -> None:
        """Remove what is at `path`."""


class StateKeeper(Capability):
    """A provider that keeps the state of devices."""

    capability: ClassVar[str] = "state"
    lacking: ClassVar[str] = "device state"

    @abstractmethod
    def state(self, device: str) -> DeviceState:
        """The state of one device, by its external id."""
