"""Decode: once more, by the config of today, what was decoded or could not be decoded when it came."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from shared.provider.base import Capability
from shared.provider.messages import Message


class StoredBody(NamedTuple):
    """A body as it is stored, with what its message says of it. Times are ISO 8601."""

    body: bytes
    event_id: str
    topic: str | None = None
    device: str | None = None
    observed_at: str | None = None
    received_at: str | None = None

    def complete(self, message: Message) -> Message:
        """A message in it, with the device and the time it came with where it says none itself."""
        return replace(
            message,
            device=message.device or self.device,
            observed_at=message.observed_at or self.observed_at,
        )


class Decoder(Capability):
    """A provider that can decode what it has stored."""

    capability: ClassVar[str] = "decode"
    lacking: ClassVar[str] = "decoder"

    @abstractmethod
    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """The messages in each body that was received earlier; none where it holds none."""
