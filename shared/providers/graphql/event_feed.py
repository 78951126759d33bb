"""Subscriptions over an event stream: GraphQL over server-sent events, in distinct connections mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from shared.provider import (
    Deadline,
    EventStreamReader,
    OutboundRequest,
    OutsideError,
    ProtocolFailed,
    StreamEnded,
    StreamRefused,
    write_json,
)
from shared.providers.graphql.feed import OPEN_SECONDS, Told, explain_refusal, mask_failure, read_told
from shared.providers.graphql.variables import Variables

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

_RESULTS = frozenset(("next", "message"))
"""Events that are results; some servers leave out the name."""


class EventFeed:
    """One subscription, whose request its results are the reply to; see Feed."""

    spoken = "server-sent events"

    def __init__(self, graphql: Graphql) -> None:
        self.strange = 0
        self._graphql = graphql
        self._stream = EventStreamReader(graphql.identity.organization_id)
        self._over: OutsideError | None = None

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)

    def open(self, variables: Variables, deadline: Deadline) -> None:
        """Send the subscription. Errors: StreamRefused, OutsideErrors."""
        graphql, seconds = self._graphql, min(OPEN_SECONDS, deadline.remaining())
        body = write_json({"query": graphql.subscription, "variables": variables})
        headers = graphql.stream_headers | {"Content-Type": "application/json"}
        request = OutboundRequest("POST", graphql.endpoint, headers, body, timeout_seconds=seconds)
        try:
            self._stream.open(request)
        except StreamRefused as refused:
            raise explain_refusal(graphql, refused) from None
        except ProtocolFailed as failed:
            raise mask_failure(graphql, failed) from None

    def receive(self, seconds: float) -> list[Told]:
        """The results that came, waiting up to `seconds` for the first. Errors: StreamEnded, OutsideErrors."""
        told: list[Told] = []
        for event in [] if self._over else self._stream.receive(seconds):
            if event.name in _RESULTS:
                told.append(read_told(self._graphql, event.data))
            elif event.name == "complete":
                self._over = StreamEnded(f"{self._graphql.access.name} ended the subscription.", ended=1000)
                break
            else:
                self.strange += 1
        if self._over and not told:
            raise self._over
        return told
