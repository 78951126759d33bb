"""From a row of `lease_deliveries` to an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.deliveries.verdicts import Attempt
from shared.errors import ConnectionRefused, NameNotResolved, NotSupported, Problem, TlsFailed
from shared.log import get_log
from shared.outbound import OutboundClient, OutboundReply, OutboundRequest
from shared.sealing import open_provider
from shared.subscriber import Subscriber

REPLY_EXCERPT = 16_384
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


async def make_attempt(
    client: OutboundClient, build: Callable[[], OutboundRequest], seconds: float
) -> Attempt:
    """Send what `build()` returns, once, within `seconds`; what came of it, whatever that is."""
    clock = asyncio.get_running_loop().time
    started_at, begun = datetime.now(UTC), clock()
    reply, problem = None, None
    try:
        request = build()
        seconds = max(0.1, min(request.timeout_seconds, seconds))
        reply = await _send(client, replace(request, timeout_seconds=seconds, reply_limit=REPLY_EXCERPT))
    except Problem as error:
        problem = error
    except Exception:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
        get_log().exception("a delivery could not be sent")
        problem = Problem("The request could not be built; the log has the details.")
    return Attempt(started_at, (clock() - begun) * 1000, reply, problem)


async def _send(client: OutboundClient, request: OutboundRequest) -> OutboundReply:
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        return await client.send(request)
    except NEVER_SENT:
        if clock() - begun >= min(AT_ONCE_SECONDS, request.timeout_seconds):
            raise
    return await client.send(replace(request, timeout_seconds=request.timeout_seconds - (clock() - begun)))
