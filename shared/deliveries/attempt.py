"""One attempt over HTTP: from a leased delivery to a reply, or to what kept it away."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.deliveries.delivery import LeasedDelivery, make_event
from shared.integrations.sealing import SealedIntegration
from shared.provider import Subscriber
from shared.runtime.errors import ConnectionRefused, NameNotResolved, Problem, TlsFailed
from shared.runtime.log import get_log
from shared.runtime.outbound import OutboundClient, OutboundReply, OutboundRequest

AT_ONCE_SECONDS = 1.0
TRACE = "traceparent"

NEVER_SENT = (ConnectionRefused, NameNotResolved, TlsFailed)
"""What failed before the request was on the wire: to try again at once exceeds no rate of the endpoint's."""


@dataclass(slots=True)  # not frozen, which costs a microsecond; nobody changes one all the same
class Attempt:
    """What came of one try: a reply, or the problem that kept it away; neither where a provider has published it.

    `heard` is what is kept of the answer then, `reference` what the other side calls what it has taken,
    and `certificate` when that of the other side begins and ends to hold.
    """

    started_at: datetime
    milliseconds: float
    reply: OutboundReply | None = None
    problem: Problem | None = None
    heard: str | None = None
    is_published: bool = False
    reference: str | None = None
    certificate: tuple[float, float] | None = None


def build_request(
    provider: Subscriber, delivery: LeasedDelivery, row: SealedIntegration
) -> OutboundRequest | Problem:
    """What `provider` sends of a delivery, signed as of now; the reason where it can't be built."""
    try:
        return provider.deliver(make_event(delivery, row))
    except BaseException as error:  # noqa: BLE001 - one webhook's defect must not end the others' deliveries
        return name_problem(error)


def pass_trace(request: OutboundRequest | Problem, traceparent: str | None) -> OutboundRequest | Problem:
    """`request` as a part of that trace, unless its webhook's own headers say otherwise."""
    if (
        traceparent is None
        or isinstance(request, Problem)
        or any(name.lower() == TRACE for name in request.headers)
    ):
        return request
    return replace(request, headers={**request.headers, TRACE: traceparent})


async def make_attempt(client: OutboundClient, request: OutboundRequest | Problem, seconds: float) -> Attempt:
    """Send `request`, once, within `seconds`; what came of it, whatever that is."""
    if isinstance(request, Problem):
        return Attempt(datetime.now(UTC), 0, problem=request)
    started_at, begun = datetime.now(UTC), time.perf_counter()
    reply, problem = None, None
    try:
        reply = await _send(client, request, max(0.1, min(request.timeout_seconds, seconds)))
    except BaseException as error:  # noqa: BLE001 - nor may a cancellation keep the delivery's place
        problem = name_problem(error)
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


def name_problem(error: BaseException) -> Problem:
    """`error` where it says what is wrong; a defect goes to the log."""
    if isinstance(error, Problem):
        # Kept by a frame that its traceback keeps, it would stay with all that it met until the collector came by.
        return error.with_traceback(None)
    get_log().error("a defect in the deliveries", exc_info=error)
    return Problem("It could not be sent; the log has the details.")
