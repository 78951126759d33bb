"""A broker, what one integration wants of it, and how whoever has such a plan has it carried out.

The session is that of the provider `mqtt`, whose files bear it. Providers never import one another, so it is reached as
everything reaches a provider, by its name; what it is given says all that differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from shared.codecs.codec import Codec
from shared.provider.batch import Batch
from shared.provider.catalogue import find_provider
from shared.provider.check import Check
from shared.provider.decoding.dialect import PayloadDecoder
from shared.provider.tls import Tls
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ProtocolFailed

MQTT_5 = 5
MQTT_3 = 4
WEEK_SECONDS = 604_800

QUEUE_LIMITS = frozenset((100, 1_000, 10_000))
"""How many messages brokers keep for a session, as they come."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and how to reach it; `websocket_path` None means plain MQTT.

    `sign_path` makes of that path what each new connection asks for, where the address proves who connects. Without
    `has_options` subscriptions ask for no more than MQTT 3.1.1 has, whatever is spoken.
    """

    host: str
    port: int
    websocket_path: str | None = None
    tls: Tls | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive: int = 60
    sign_path: Callable[[str], str] | None = field(default=None, repr=False)
    has_options: bool = True


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
    knows_again: bool = True
    """Whether the broker sends a message again under its packet id, as MQTT wants; else none is taken for another."""
    queue_limits: frozenset[int] = QUEUE_LIMITS
    """Of so many messages that waited, more may have been dropped."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """What the broker can't do, by a name, told once."""

    @property
    def key(self) -> str:
        """Names the broker's session: with another broker, user or client id nothing we remember of it holds."""
        identity = f"{self.broker.host}:{self.broker.port}:{self.client_id}:{self.broker.username or ''}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]


class BrokerClient(Protocol):
    """What is done by a plan. Errors: OutsideErrors."""

    def poll(self, plan: BrokerPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """One session that loses nothing, as `Poller.session`."""

    def test(self, plan: BrokerPlan, deadline: Deadline | None = None) -> Iterator[Check]:
        """Resolve, connect, do TLS, log in, subscribe; with a client id of its own, beside a live session."""

    def publish_once(self, plan: BrokerPlan, topic: str, body: bytes) -> None:
        """Publish with QoS 1 over a short connection beside the session."""


class ProtocolUnsupported(ProtocolFailed):
    """The broker does not speak this version of MQTT, or closed the connection without a word."""


def load_client() -> BrokerClient:
    """Who carries plans out."""
    return cast("BrokerClient", find_provider("mqtt"))
