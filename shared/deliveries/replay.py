"""Sending deliveries again and taking them off the queue, one or a range: for admins, as the database decides."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.integrations.scope import read_id, read_ids
from shared.runtime.database.client import Database, as_user
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router


class CancelledRange(BaseModel):
    """The body of POST …/deliveries/cancel: all that is still to come, or what these fields narrow it to."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    from_: AwareDatetime | None = Field(None, alias="from")
    """Enqueued then or later."""
    to: AwareDatetime | None = None
    """Enqueued before."""
    event_type: str | None = Field(None, max_length=255)


class ReplayedRange(CancelledRange):
    """The body of POST …/deliveries/replay: all dead letters, or what these fields say."""

    status: Literal["dead", "delivered", "cancelled"] = "dead"
    not_replayed_since: AwareDatetime | None = None
    """Without what was replayed then or later: the first reply's `replayed_at`, to go on through a long range."""


def add_replay_routes(router: Router) -> None:
    """The calls that change the queue, below an integration's path."""
    router.route("POST", "/{id}/deliveries/replay")(replay_range)
    router.route("POST", "/{id}/deliveries/cancel")(cancel_range)
    router.route("POST", "/{id}/deliveries/{delivery_id}/replay")(replay_one)
    router.route("POST", "/{id}/deliveries/{delivery_id}/cancel")(cancel_one)


def replay_one(call: Call) -> Reply:
    """Queue one delivery again, under its old webhook-id; 202, for it is sent with the next tick.

    Errors: Conflict while it is on its way, Gone where its message is past its retention.
    """
    return Reply({"delivery": _change_one(call, "replay_delivery")}, HTTPStatus.ACCEPTED)


def cancel_one(call: Call) -> Reply:
    """Take one delivery off the queue; Conflict once it is delivered or dead."""
    return Reply({"delivery": _change_one(call, "cancel_delivery")})


def replay_range(call: Call) -> Reply:
    """Queue the oldest 10,000 of a range again: how many those were, how many are left, and when."""
    return Reply(_change_range(call, "replay_deliveries", ReplayedRange), HTTPStatus.ACCEPTED)


def cancel_range(call: Call) -> Reply:
    """Take up to 10,000 of a range off the queue: how many those were, and whether there are more."""
    return Reply(_change_range(call, "cancel_deliveries", CancelledRange))


def _change_one(call: Call, function: str) -> Any:
    integration_id, delivery_id = read_ids(call)
    database = _charge(call, integration_id)
    return database.call(function, p_integration_id=integration_id, p_delivery_id=delivery_id)


def _change_range(call: Call, function: str, model: type[CancelledRange]) -> Any:
    _ = call.user
    integration_id = read_id(call)
    wanted = call.json(model) if call.body.strip() else model()
    filters = wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _charge(call, integration_id).call(function, p_integration_id=integration_id, p_filter=filters)


def _charge(call: Call, integration_id: str) -> Database:
    database = as_user(call.user.token)
    take_tokens(call, database, WRITES, p_integration_id=integration_id)
    return database
