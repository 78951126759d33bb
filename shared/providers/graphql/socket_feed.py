"""Subscriptions over a WebSocket: graphql-transport-ws, the older graphql-ws of Apollo, and AppSync's own form of it.

The older protocol's subprotocol is called `graphql-ws`, the newer one's `graphql-transport-ws`; both are offered, and
what the server chooses decides. No protocol has acknowledgements: what is sent while nobody listens is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from shared.provider import (
    CredentialsRefused,
    Deadline,
    Item,
    OutboundRequest,
    OutsideError,
    ProtocolFailed,
    StreamEnded,
    StreamRefused,
    TimedOut,
    WebSocketStream,
    write_json,
)
from shared.providers.graphql.feed import (
    ACK_SECONDS,
    OPEN_SECONDS,
    Told,
    explain_refusal,
    mask_failure,
    read_told,
)
from shared.providers.graphql.refusals import describe_errors, explain_end, explain_errors, list_errors
from shared.providers.graphql.variables import Variables

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

TRANSPORT_WS, LEGACY = "graphql-transport-ws", "graphql-ws"
OUR_ID = "1"
_IDLE = frozenset(("ka", "pong", "connection_ack", "start_ack"))


class _Words(NamedTuple):
    """What a protocol calls things."""

    start: str
    data: str
    stop: str


_WORDS = {
    TRANSPORT_WS: _Words("subscribe", "next", "complete"),
    LEGACY: _Words("start", "data", "stop"),
}


class SocketFeed:
    """One subscription on a connection of its own; see Feed."""

    def __init__(self, graphql: Graphql) -> None:
        self.strange = 0
        self._graphql = graphql
        self._stream = WebSocketStream(graphql.identity.organization_id)
        self._words = _WORDS[TRANSPORT_WS]
        self._waiting: list[bytes] = []
        self._is_open = False
        self._over: OutsideError | None = None

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if self._is_open and self._over is None:
                self._send({"id": OUR_ID, "type": self._words.stop})
        except OutsideError:
            # It is over all the same.
            self._is_open = False
        finally:
            self._stream.__exit__(*error)

    def open(self, variables: Variables, deadline: Deadline) -> None:
        """Connect, log in and subscribe. Errors: StreamRefused, OutsideErrors."""
        self._connect(min(OPEN_SECONDS, deadline.remaining()))
        init = self._graphql.opening
        self._send({"type": "connection_init"} | ({"payload": init} if init else {}))
        patience = deadline.within(ACK_SECONDS)
        while not self._meet_acknowledgement(self._receive(patience.remaining())):
            if patience.expired:
                raise TimedOut(
                    f"{self._graphql.access.name} did not acknowledge the connection within {ACK_SECONDS:g} seconds."
                )
        self._is_open = True
        operation: dict[str, Any] = {"query": self._graphql.subscription, "variables": variables}
        self._send(
            {"id": OUR_ID, "type": self._words.start, "payload": self._graphql.wrap_operation(operation)}
        )

    def receive(self, seconds: float) -> list[Told]:
        """The results that came, waiting up to `seconds` for the first. Errors: StreamEnded, OutsideErrors."""
        messages, self._waiting = self._waiting, []
        told: list[Told] = []
        if not messages and self._over is None:
            messages = self._receive(seconds)
        for message in messages:
            self._sort(message, told)
            if self._over:
                break
        if self._over and not told:
            raise self._over
        return told

    def _connect(self, seconds: float) -> None:
        graphql = self._graphql
        request = OutboundRequest("GET", graphql.socket_url, graphql.stream_headers, timeout_seconds=seconds)
        offered = {"transport-ws": (TRANSPORT_WS,), "legacy": (LEGACY,), "appsync": (LEGACY,)}
        try:
            self._stream.open(request, offered.get(graphql.protocol, (TRANSPORT_WS, LEGACY)))
        except StreamRefused as refused:
            raise explain_refusal(graphql, refused) from None
        except ProtocolFailed as failed:
            raise mask_failure(graphql, failed) from None
        self._words = _WORDS[self._stream.subprotocol]

    @property
    def spoken(self) -> str:
        """The protocol that the server chose."""
        return self._stream.subprotocol

    def _meet_acknowledgement(self, messages: list[bytes]) -> bool:
        """Whether it came; what follows it is kept. Before it a server may only say that it is there."""
        for number, message in enumerate(messages, start=1):
            payload = Item(read_told(self._graphql, message).payload)
            kind = payload.fields.get("type")
            if kind == "connection_ack":
                self._waiting = messages[number:]
                return True
            if kind in {"connection_error", "error"}:
                raise self._explain(payload.fields.get("payload"))
            if kind == "ping":
                self._send({"type": "pong"})
            elif kind not in {"ka", "pong"}:
                raise ProtocolFailed(
                    f"{self._graphql.access.name} sent something else before it acknowledged the connection."
                )
        return False

    def _sort(self, message: bytes, told: list[Told]) -> None:
        read = read_told(self._graphql, message)
        item = Item(read.payload)
        kind, is_ours = item.fields.get("type"), item.fields.get("id") == OUR_ID
        if not isinstance(kind, str):
            told.append(Told(None, read.body, read.error or "It is no message of the protocol."))
        elif kind == self._words.data and is_ours:
            told.append(Told(item.fields.get("payload"), read.body, lifted=read.lifted))
        elif kind == "error" and (is_ours or "id" not in item.fields):
            self._over = self._explain_errors(item.fields.get("payload"))
        elif kind == "complete" and is_ours:
            self._over = StreamEnded(f"{self._graphql.access.name} ended the subscription.", ended=1000)
        elif kind == "connection_error":
            self._over = self._explain(item.fields.get("payload"))
        elif kind == "ping":
            self._send({"type": "pong"})
        elif kind not in _IDLE:
            self.strange += 1

    def _explain_errors(self, payload: Any) -> OutsideError:
        errors = payload.get("errors", payload) if isinstance(payload, dict) else payload
        return explain_errors(self._graphql.access.name, errors, self._graphql.mask_words)

    def _explain(self, payload: Any) -> OutsideError:
        """What a refused connection is: all that is asked for then is who asks."""
        errors = payload.get("errors", payload) if isinstance(payload, dict) else payload
        words = self._graphql.mask_words(describe_errors(list_errors(errors)))
        return CredentialsRefused(f"{self._graphql.access.name} refused the connection: {words}")

    def _receive(self, seconds: float) -> list[bytes]:
        try:
            return self._stream.receive(seconds)
        except StreamEnded as ended:
            name, reason = self._graphql.access.name, self._graphql.mask_words(ended.reason)
            clean = StreamEnded(
                f"{name} closed the connection ({ended.ended}).", ended=ended.ended, reason=reason
            )
            raise explain_end(clean, name) from None

    def _send(self, message: dict[str, Any]) -> None:
        self._stream.send(write_json(message))
