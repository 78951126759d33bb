"""Decode: once more, by the config of today, what could not be decoded when it came."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from shared.provider.base import Capability
from shared.provider.messages import Message


class Decoder(Capability):
    """A provider that can decode what it has stored undecoded."""

    capability: ClassVar[str] = "decode"
    lacking: ClassVar[str] = "decoder"

    @abstractmethod
    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message in a body that was received earlier and could not be decoded then; None where it holds none."""
