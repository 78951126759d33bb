"""What one integration wants of its broker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.provider import Codec, PayloadDecoder
from shared.providers.mqtt.broker import MQTT_3, MQTT_5, Broker

WEEK_SECONDS = 604_800


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """A broker, who we are there, and what to listen to.

    `protocols` are tried in their order, `owner` is the organization.
    """

    broker: Broker
    client_id: str
    filters: tuple[str, ...]
    decoder: PayloadDecoder
    qos: int = 1
    protocols: tuple[int, ...] = (MQTT_5, MQTT_3)
    expiry_seconds: int = WEEK_SECONDS
    warnings: tuple[str, ...] = ()
    open_codec: Callable[[Mapping[str, Any]], Codec] | None = None
    """Where bodies are decoded by a codec: opens it, with what it remembers."""
    owner: str = ""

    @property
    def key(self) -> str:
        """Names the broker's session: with another broker, user or client id nothing we remember of it holds."""
        identity = f"{self.broker.host}:{self.broker.port}:{self.client_id}:{self.broker.username or ''}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]
