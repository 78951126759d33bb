"""What one integration wants of its broker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.provider import Message
from shared.providers.mqtt.paho_client import MQTT_3, MQTT_5, Broker

WEEK_SECONDS = 604_800


class Decoder(Protocol):
    """Turns what was published into messages; `shared.provider.decoding.Decoder` is one."""

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message, or None for what is acknowledged and forgotten."""

    def refuse(self, topic: str, excerpt: bytes, size: int, event_id: str) -> Message | None:
        """The message that stands for a body too large to keep."""

    def take_notes(self) -> list[str]:
        """Warnings since the last call."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A broker, who we are there, and what to listen to.

    `protocols` are tried in their order. `find_reply` may answer a message, as (topic, body), once it is committed.
    """

    broker: Broker
    client_id: str
    filters: tuple[str, ...]
    decoder: Decoder
    qos: int = 1
    protocols: tuple[int, ...] = (MQTT_5, MQTT_3)
    expiry_seconds: int = WEEK_SECONDS
    find_reply: Callable[[str, bytes], tuple[str, bytes] | None] | None = None

    @property
    def key(self) -> str:
        """Names the broker's session: with another broker, user or client id nothing we remember of it holds."""
        identity = f"{self.broker.host}:{self.broker.port}:{self.client_id}:{self.broker.username or ''}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]
