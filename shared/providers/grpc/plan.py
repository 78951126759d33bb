"""What calling a service takes, and which of its methods are called for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.provider import Template, Tls


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Where a service is and how it is spoken to. `owner` is the organization, `secrets` what words never repeat."""

    host: str
    port: int
    tls: Tls | None
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    descriptor_set: bytes | None = field(default=None, repr=False)
    """The FileDescriptorSet that was uploaded; without it the service is asked by reflection."""
    owner: str = ""

    @property
    def authority(self) -> str:
        """As HTTP/2 names who is called, whatever address it is at."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What is called for messages, and where in what comes things are. Without a template the request is empty."""

    method: str
    request: Template | None
    first_cursor: Any = None
    items_path: str | None = None
    cursor_path: str | None = None
    page_path: str | None = None
    key: str = ""
    """What the cursor is of: one of another service or question is none of this."""


@dataclass(frozen=True, slots=True)
class TellPlan:
    """What is called for a command."""

    method: str
    request: Template | None
    confirmed_path: str | None
    is_idempotent: bool
    seconds: float


Document = Mapping[str, Any]
"""A message as JSON."""
