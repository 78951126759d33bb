"""What goes out and what comes back. Neither shows headers, path, query or body when it is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from shared.runtime.backoff import parse_retry_after

REPLY_LIMIT = 16_384
"""Bytes of a reply that are read unless the request says otherwise."""


@dataclass(slots=True, repr=False)  # not frozen, which costs a microsecond; nobody changes one all the same
class OutboundRequest:
    """One HTTP request. `timeout_seconds` is for all of it, from the name look-up to the reply's last byte.

    `whole` says that a reply whose body is cut is of no use, whatever its status: it is an error then. `meet` is told
    each part of a reply's body before that is kept, and how many bytes are known to follow; it may hold up its event
    loop, and what it raises ends all. `once` says that what is done must not be done again: whatever keeps a reply from
    being read whose status says that it was is AnswerUnreadable.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_seconds: float = 30.0
    reply_limit: int = REPLY_LIMIT
    whole: bool = False
    meet: Callable[[bytearray, int], None] | None = None
    once: bool = False

    def __repr__(self) -> str:
        return f"OutboundRequest({self.method} {_show_host(self.url)})"


@dataclass(slots=True)  # not frozen, as OutboundRequest
class OutboundReply:
    """What came back. `body` is raw (never decompressed), at most the request's `reply_limit` bytes.

    `truncated` says that it is not all of the body. `headers` find their names in any letter case. `milliseconds` is
    the whole exchange. `cut` says in words what of the reply was left out or ended it, None where nothing was.
    `certificate` is from when to when that of the other side holds, in seconds since 1970; None without TLS.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool
    milliseconds: float
    cut: str | None = None
    certificate: tuple[float, float] | None = None

    @property
    def retry_after(self) -> float | None:
        """How many seconds its `Retry-After` asks to wait; None where it asks for nothing that can be read."""
        return parse_retry_after(self.headers, datetime.now(UTC))


def _show_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
