"""A subscription that is open: what it brings, by whichever protocol the server speaks."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from shared.provider import (
    UNLIFTED,
    CredentialsRefused,
    Deadline,
    Item,
    Lifted,
    OutsideError,
    ProtocolFailed,
    StreamRefused,
    read_document,
    read_lifted,
)
from shared.providers.graphql.refusals import describe_errors, list_errors

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql
    from shared.providers.graphql.variables import Variables

OPEN_SECONDS, ACK_SECONDS = 10.0, 10.0
SOCKET, EVENTS = "socket", "events"


class Told(NamedTuple):
    """One result as it came: what was parsed of it, the text of it, and why it could not be parsed.

    `lifted` is what lies too deep in it.
    """

    payload: Any
    body: bytes
    error: str | None = None
    lifted: Lifted = UNLIFTED


class Feed(Protocol):
    """Use it in a `with`. `strange` counts what came that belongs to no subscription of ours."""

    strange: int

    @property
    def spoken(self) -> str:
        """The protocol, by its name."""

    def __enter__(self) -> Self:
        """Nothing is connected yet."""

    def __exit__(self, *_: object) -> None:
        """Say that it is over, and disconnect."""

    def open(self, variables: Variables, deadline: Deadline) -> None:
        """Connect, log in and subscribe. Errors: StreamRefused, OutsideErrors."""

    def receive(self, seconds: float) -> list[Told]:
        """The results that came, waiting up to `seconds` for the first. Errors: StreamEnded, OutsideErrors."""


def make_feed(graphql: Graphql, way: str) -> Feed:
    """A feed by a WebSocket, or by an event stream."""
    from shared.providers.graphql.event_feed import EventFeed
    from shared.providers.graphql.socket_feed import SocketFeed

    return EventFeed(graphql) if way == EVENTS else SocketFeed(graphql)


def list_ways(graphql: Graphql, known: str) -> tuple[str, ...]:
    """The ways to subscribe, in the order in which they are tried; `known` has worked before."""
    if graphql.protocol == "auto" and graphql.ws_endpoint is None:
        return (EVENTS, SOCKET) if known == EVENTS else (SOCKET, EVENTS)
    return (EVENTS,) if graphql.protocol == "sse" else (SOCKET,)


def mask_failure(graphql: Graphql, failed: ProtocolFailed) -> ProtocolFailed:
    """The same without the secrets that headers of a reply may say back."""
    return ProtocolFailed(graphql.mask_words(failed.detail))


def read_told(graphql: Graphql, body: bytes) -> Told:
    """A message, without the secrets that it may say back."""
    for secret in graphql.access.secrets:
        body = body.replace(secret.encode(), b"***")
    (payload, _, error), lifted = read_lifted(body)
    return Told(payload, body, error, lifted)


def explain_refusal(graphql: Graphql, refused: StreamRefused) -> OutsideError:
    """What it is that a server answered instead of a stream, with its words."""
    document = read_document(refused.body)[0] if refused.body else None
    item = Item(document)
    errors = item.fields.get("errors")
    said = (
        describe_errors(list_errors(errors)) if errors else item.text("message") or item.text("error") or ""
    )
    words = f"{refused.detail} {graphql.mask_words(said)}".strip()
    if refused.answered in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(f"{graphql.access.name} refused the credentials: {words}")
    return StreamRefused(words, answered=refused.answered, retry_after=refused.retry_after)


def is_elsewhere(error: OutsideError) -> bool:
    """Whether a server speaks another protocol, as it seems, so that the next way is worth a try."""
    return isinstance(error, ProtocolFailed) or (
        isinstance(error, StreamRefused) and error.answered != HTTPStatus.TOO_MANY_REQUESTS
    )
