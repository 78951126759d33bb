"""A pushed request on its way in, and what reading it costs: those that take long are in nobody's way."""

from __future__ import annotations

from dataclasses import dataclass

from shared.provider import PushedRequest
from shared.runtime.memory import weigh_json

REQUEST_WEIGHT = 4_096
"""What a request counts beside its body: a thousand are a batch."""

HEAVY = 1_048_576
"""From here on a request is read in a thread of its own. So much takes less than 50 ms, a byte of it 40 ns at most."""

ESCAPE_WEIGHT, CBOR_WEIGHT = 32, 20
"""Of a backslash in JSON, and of each byte of CBOR."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request to `integration_id`, which has to be of `integration_type` where that is given, and what it weighs.

    `token_hash` is of the device's token that it brings, if any. Its messages go on with the traceparent `trace`.
    """

    integration_id: str
    integration_type: str | None
    request: PushedRequest
    weight: int
    token_hash: str | None = None
    trace: str | None = None


def weigh_request(request: PushedRequest) -> int:
    """About how long reading it takes: as that many bytes of plain text, or more where little text holds much."""
    body = request.body
    if "cbor" in request.headers.get("content-type", "").lower():
        return REQUEST_WEIGHT + CBOR_WEIGHT * len(body)
    return (
        REQUEST_WEIGHT + max(len(body), weigh_json(body) - 2 * len(body)) + ESCAPE_WEIGHT * body.count(b"\\")
    )
