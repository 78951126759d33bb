"""What all providers share from which messages come, polled or pushed."""

from __future__ import annotations

from typing import ClassVar

from shared.provider.base import Capability
from shared.provider.form import Group


class MessageSource(Capability):
    """A provider that messages come from."""

    read_in_sql: ClassVar[frozenset[str]] = frozenset({"auto_provision_devices"})
    groups: ClassVar[tuple[Group, ...]] = (Group("New devices", ("auto_provision_devices",)),)

    auto_provision_devices: bool = True
    """Whether a message of an unknown device makes the device."""
