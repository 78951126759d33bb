"""What connecting to a cluster takes, and what reading from it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.provider import WHOLE, Codec, Part, PayloadDecoder, Tls

if TYPE_CHECKING:
    from shared.providers.kafka.registry import Registry


@dataclass(frozen=True, slots=True)
class Sasl:
    """Who logs in, and how; with a `token_url` by a token from there (OAUTHBEARER)."""

    mechanism: str
    username: str
    password: str = field(repr=False)
    token_url: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Where a cluster's first brokers are, and how each of its brokers is spoken to. `owner` is the organization."""

    servers: tuple[tuple[str, int], ...]
    security_protocol: str
    tls: Tls | None
    sasl: Sasl | None
    client_id: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What is read, from where on, and what of a record names its device.

    `echo` begins the source of the events that this platform sends for the same organization: they are not read back.
    """

    cluster: ClusterPlan
    topics: tuple[str, ...]
    from_beginning: bool
    device_from: str
    device_header: str
    is_path_first: bool
    decoder: PayloadDecoder
    echo: str
    open_codec: Callable[[Mapping[str, Any]], Codec] | None = None
    """Where bodies are decoded by a codec: opens it, with what it remembers."""
    registry: Registry | None = None
    part: Part = WHOLE
    """Which partitions it reads."""
    sessions: int = 1
    """How many there are to be: the first one of all, which reads all, places them and ends where they are several."""

    @property
    def is_to_place(self) -> bool:
        """Whether it is that first one."""
        return self.sessions > 1 and self.part.of == 1
