"""Send: commands to devices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import JsonValue

from shared.provider.base import Capability
from shared.provider.messages import Command


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider said of a command: its own reference, whether the device has confirmed it, and its answer.

    `result` is the device's answer as JSON, where it gave one.
    """

    reference: str | None = None
    confirmed: bool = False
    result: JsonValue = None


class Commander(Capability):
    """A provider whose devices can be told something."""

    capability: ClassVar[str] = "send"
    lacking: ClassVar[str] = "command"

    @classmethod
    def check_command(cls, settings: Mapping[str, object], device: str, name: str) -> None:
        """CommandRefused, with the remedy, where the stored settings alone say that such a command can't be sent."""

    @abstractmethod
    def send(self, command: Command) -> Outcome:
        """Send a command to a device; raises OutsideErrors, CommandRefused where they are final but do not say so."""
