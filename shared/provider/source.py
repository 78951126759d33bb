"""What all providers share from which messages come, polled or pushed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.provider.base import Capability
from shared.provider.form import Group

YEAR_SECONDS = 31_536_000


class MessageSource(Capability):
    """A provider that messages come from."""

    read_in_sql: ClassVar[frozenset[str]] = frozenset(
        {"auto_provision_devices", "silent_after_seconds", "offline_after_seconds"}
    )
    groups: ClassVar[tuple[Group, ...]] = (
        Group("New devices", ("auto_provision_devices",)),
        Group("Silence", ("silent_after_seconds", "offline_after_seconds")),
    )

    auto_provision_devices: bool = True
    """Whether a message of an unknown device makes the device."""
    silent_after_seconds: int = Field(3_600, ge=0, le=YEAR_SECONDS)
    """After how long without any message the integration is silent, which raises an alert; 0: never."""
    offline_after_seconds: int = Field(3_600, ge=0, le=YEAR_SECONDS)
    """After how long without a message a device is offline, where nothing else says so of it; 0: never."""
