"""From a row of `lease_deliveries` to an attempt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.deliveries.event import make_event
from shared.deliveries.verdict import Attempt
from shared.integrations.sealing import open_provider
from shared.provider.subscriber import Subscriber
from shared.runtime.errors import ConnectionRefused, NameNotResolved, NotSupported, Problem, TlsFailed
from shared.runtime.log import get_log
from shared.runtime.outbound import OutboundClient, OutboundReply, OutboundRequest

AT_ONCE_SECONDS = 1.0
KEPT_PROVIDERS = 2000

NEVER_SENT = (ConnectionRefused, NameNotResolved, TlsFailed)
"""What failed before the request was on the wire: to try again at once exceeds no rate of the endpoint's."""


class Providers:
    """The opened providers of a run, opened again when their row has changed."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Mapping[str, Any], Subscriber]] = {}

    def open(self, row: Mapping[str, Any]) -> Subscriber | Problem:
        """The provider of an integration's row, or why it can't be used."""
        kept = self._opened.get(row["id"])
        if kept and kept[0] == row:
            return kept[1]
        try:
            provider = open_provider(row)
        except Problem as problem:
            return problem
        if not isinstance(provider, Subscriber):
            return NotSupported("Events can't be sent to an integration of this type; remove events from it.")
        if len(self._opened) >= KEPT_PROVIDERS:
            self._opened.clear()
        self._opened[row["id"]] = (row, provider)
        return provider


def build_request(
    provider: Subscriber, delivery: Mapping[str, Any], row: Mapping[str, Any]
) -> OutboundRequest | Problem:
    """What `provider` sends of a delivery, signed as of now; the reason where it can't be built."""
    try:
        return provider.deliver(make_event(delivery, row))
    except Exception as error:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
        return _name_problem(error)


async def make_attempt(client: OutboundClient, request: OutboundRequest | Problem, seconds: float) -> Attempt:
    """Send `request`, once, within `seconds`; what came of it, whatever that is."""
    if isinstance(request, Problem):
        return Attempt(datetime.now(UTC), 0, problem=request)
    started_at, begun = datetime.now(UTC), time.perf_counter()
    reply, problem = None, None
    try:
        reply = await _send(client, request, max(0.1, min(request.timeout_seconds, seconds)))
    except Exception as error:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
        problem = _name_problem(error)
    return Attempt(started_at, (time.perf_counter() - begun) * 1000, reply, problem)


async def _send(client: OutboundClient, request: OutboundRequest, seconds: float) -> OutboundReply:
    begun = time.perf_counter()
    try:
        return await client.send(request, seconds)
    except NEVER_SENT:
        passed = time.perf_counter() - begun
        if passed >= min(AT_ONCE_SECONDS, seconds):
            raise
    return await client.send(request, seconds - passed)


def _name_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    get_log().error("a delivery could not be sent", exc_info=error)
    return Problem("The request could not be sent; the log has the details.")
