"""What callers of an integration's deliveries send, and what they get."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from typing_extensions import TypedDict

from shared.provider import EventType
from shared.runtime.bodies import Body, Instant, Moment, Uuid
from shared.runtime.web.paging import PageQuery

Status = Literal["pending", "delivering", "delivered", "dead", "cancelled"]


class DeliveryFilters(PageQuery):
    """Which deliveries are listed."""

    status: Status | None = None
    """Only with this status."""
    event_type: EventType | None = None
    """Only of this type, such as `device.telemetry`."""


class CancelledRange(Body):
    """The body of POST …/deliveries/cancel: all that is still to come, or what these fields narrow it to."""

    from_: Instant | None = Field(None, alias="from")
    """Enqueued then or later."""
    to: Instant | None = None
    """Enqueued before."""
    event_type: EventType | None = None


class ReplayedRange(CancelledRange):
    """The body of POST …/deliveries/replay: all dead letters, or what these fields say."""

    status: Literal["dead", "delivered", "cancelled"] = "dead"
    not_replayed_since: Instant | None = None
    """Without what was replayed then or later: the first reply's `replayed_at`, to go on through a long range."""


class DeliveryRow(TypedDict):
    """One event on its way to one webhook; `id` is its `webhook-id` over all attempts."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    event_type: str
    message_id: Uuid
    message_received_at: Moment
    status: Status
    attempts: int
    due_at: Moment
    created_at: Moment
    replayed_at: Moment | None
    recipient: str | None
    """Of an integration that tells people: the name of who is told."""
    report: str | None
    """What the service that takes the message there last reported of it, such as `delivered` or `read`.

    `again` while another is to take its place.
    """


class RequestRow(TypedDict):
    """What was sent, its secrets masked; `body` is the first 16 KB of `body_bytes`."""

    started_at: Moment
    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    body_bytes: int


class AttemptRow(TypedDict):
    """One try: what was answered, or `error` in words."""

    attempt: int
    started_at: Moment
    milliseconds: int
    status_code: int | None
    error: str | None
    reply: str | None


class AttemptWithRequest(AttemptRow):
    """One try with what was sent: of those that failed, and of a webhook's last 100 that were delivered."""

    request: RequestRow | None


class DeliveryWithAttempts(DeliveryRow):
    """A delivery with every attempt, in their order."""

    attempts_log: list[AttemptWithRequest]


OneDelivery = TypedDict("OneDelivery", {"delivery": DeliveryWithAttempts})
DeliveryPage = TypedDict("DeliveryPage", {"deliveries": list[DeliveryRow], "next_cursor": str | None})
ChangedDelivery = TypedDict("ChangedDelivery", {"delivery": DeliveryRow})


class Replayed(TypedDict):
    """How many were queued again, how many of the range are left for another call, and when this was."""

    replayed: int
    left: int
    replayed_at: Moment


class Cancelled(TypedDict):
    """How many were taken off the queue, and whether there are more."""

    cancelled: int
    more: bool
