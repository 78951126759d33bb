"""An integration's deliveries: members see the queue and its dead letters, admins replay and cancel them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from shared.deliveries import bodies
from shared.integrations.scope import list_page, read_part
from shared.runtime.errors import Conflict, Gone
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import WRITES
from shared.runtime.web.routes import Routes

MOST_ATTEMPTS = 1000
"""Attempts shown of one delivery: a schedule has at most 20, each replay adds one."""

routes = Routes()


@routes.get("/{id}/deliveries")
def list_deliveries(call: Call, query: bodies.DeliveryFilters) -> bodies.DeliveryPage:
    """List the deliveries of an integration, newest first."""
    rows, next_cursor = list_page(call, bodies.DeliveryRow, "webhook_deliveries", query)
    return {"deliveries": rows, "next_cursor": next_cursor}


@routes.post("/{id}/deliveries/replay", status=HTTPStatus.ACCEPTED, budget=WRITES, problems=(Gone,))
def replay_deliveries(call: Call, body: bodies.ReplayedRange | None) -> bodies.Replayed:
    """Send a range of deliveries again, the oldest first: up to 10,000 a call."""
    replayed: bodies.Replayed = _change_range(call, "replay_deliveries", body or bodies.ReplayedRange())
    return replayed


@routes.post("/{id}/deliveries/cancel", budget=WRITES)
def cancel_deliveries(call: Call, body: bodies.CancelledRange | None) -> bodies.Cancelled:
    """Take a range of deliveries off the queue: up to 10,000 a call."""
    cancelled: bodies.Cancelled = _change_range(call, "cancel_deliveries", body or bodies.CancelledRange())
    return cancelled


@routes.get("/{id}/deliveries/{delivery_id}")
def get_delivery(call: Call) -> bodies.OneDelivery:
    """Read one delivery with every attempt."""
    delivery_id = call.parameters["delivery_id"]
    delivery = read_part(call, bodies.DeliveryRow, "webhook_deliveries", delivery_id)
    query = {"delivery_id": f"eq.{delivery_id}", "order": "attempt,id", "limit": str(MOST_ATTEMPTS)}
    log = call.database.read(bodies.AttemptRow, "webhook_attempts", query)
    sent = call.database.read(bodies.RequestRow, "webhook_requests", query | {"order": "id"})
    requests = {request["started_at"]: request for request in sent}
    attempts: list[bodies.AttemptWithRequest] = [
        {**attempt, "request": requests.get(attempt["started_at"])} for attempt in log
    ]
    return {"delivery": {**delivery, "attempts_log": attempts}}


@routes.post(
    "/{id}/deliveries/{delivery_id}/replay",
    status=HTTPStatus.ACCEPTED,
    budget=WRITES,
    problems=(Conflict, Gone),
)
def replay_delivery(call: Call) -> bodies.ChangedDelivery:
    """Send one delivery again, under its old webhook-id, with the next tick.

    409 while it is on its way; 410 where its message is past its retention.
    """
    return {"delivery": _change_one(call, "replay_delivery")}


@routes.post("/{id}/deliveries/{delivery_id}/cancel", budget=WRITES, problems=(Conflict,))
def cancel_delivery(call: Call) -> bodies.ChangedDelivery:
    """Take one delivery off the queue; 409 once it is delivered or dead."""
    return {"delivery": _change_one(call, "cancel_delivery")}


def _change_one(call: Call, function: str) -> bodies.DeliveryRow:
    delivery: bodies.DeliveryRow = call.database.call(
        function, p_integration_id=call.integration_id, p_delivery_id=call.parameters["delivery_id"]
    )
    return delivery


def _change_range(call: Call, function: str, wanted: bodies.CancelledRange) -> Any:
    filters = wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
    return call.database.call(function, p_integration_id=call.integration_id, p_filter=filters)
