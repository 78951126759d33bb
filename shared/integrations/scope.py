"""What happened to an integration, for every member: its deliveries with their attempts, and its activity."""

from __future__ import annotations

from typing import Any

from shared.runtime.database.client import Database, as_user
from shared.runtime.errors import BadRequest, FieldError, NotFound
from shared.runtime.log import bind_log
from shared.runtime.web.paging import read_page
from shared.runtime.web.routing import Call, Reply, Router, parse_uuid

STATUSES = ("pending", "delivering", "delivered", "dead", "cancelled")
LEVELS = ("info", "warning", "error")
MOST_ATTEMPTS = 1000
"""Attempts shown of one delivery: a schedule has at most 20, each replay adds one."""

DELIVERY_COLUMNS = (
    "id,organization_id,integration_id,event_type,message_id,message_received_at,status,attempts,due_at,"
    "created_at,replayed_at"
)
ATTEMPT_COLUMNS = "attempt,started_at,milliseconds,status_code,error,reply"
ACTIVITY_COLUMNS = "id,organization_id,integration_id,kind,level,message,details,created_at"


def add_history_routes(router: Router) -> None:
    """The calls that read, below an integration's path."""
    router.route("GET", "/{id}/deliveries")(list_deliveries)
    router.route("GET", "/{id}/deliveries/{delivery_id}")(get_delivery)
    router.route("GET", "/{id}/activity")(list_activity)


def list_deliveries(call: Call) -> Reply:
    """One page of its deliveries, newest first; `status` and `event_type` narrow it."""
    filters = {"status": choose(call, "status", STATUSES), "event_type": call.query("event_type")}
    return list_page(call, "webhook_deliveries", DELIVERY_COLUMNS, filters, "deliveries")


def list_activity(call: Call) -> Reply:
    """One page of its activity, newest first; `level` narrows it."""
    filters = {"level": choose(call, "level", LEVELS)}
    return list_page(call, "integration_activity", ACTIVITY_COLUMNS, filters, "activity")


def get_delivery(call: Call) -> Reply:
    """One delivery with every attempt, in their order."""
    delivery_id = call.parameters["delivery_id"]
    delivery = read_part(call, "webhook_deliveries", DELIVERY_COLUMNS, delivery_id=delivery_id)
    attempts = {"select": ATTEMPT_COLUMNS, "delivery_id": f"eq.{delivery['id']}"}
    attempts |= {"order": "attempt,id", "limit": str(MOST_ATTEMPTS)}
    log = as_user(call.user.token).read("webhook_attempts", attempts)
    return Reply({"delivery": delivery | {"attempts_log": log}})


def read_part(
    call: Call, table: str, columns: str, missing: str | None = None, **named: str | None
) -> dict[str, Any]:
    """The row of a table about the integration of the path whose id is given, as `job_id=…`.

    Errors: BadRequest where that is no UUID, NotFound in the words of `missing`.
    """
    database, integration_id = as_user(call.user.token), read_id(call)
    ((name, value),) = named.items()
    query = {
        "select": columns,
        "id": f"eq.{parse_uuid(value, name)}",
        "integration_id": f"eq.{integration_id}",
    }
    return database.read_one(table, query, missing)


def read_ids(call: Call) -> tuple[str, str]:
    """The ids of the integration and the delivery that the path names."""
    return read_id(call), parse_uuid(call.parameters["delivery_id"], "delivery_id")


def read_id(call: Call) -> str:
    """The id of the integration that the path names."""
    integration_id = parse_uuid(call.parameters["id"], "id")
    bind_log(integration=integration_id)
    return integration_id


def list_page(call: Call, table: str, columns: str, filters: dict[str, str | None], name: str) -> Reply:
    """One page of a table's rows about the integration of the path, under `name`; NotFound where it is not visible."""
    page = read_page(call.query("limit"), call.query("cursor"))
    database, integration_id = as_user(call.user.token), read_id(call)
    query = {"select": columns, "integration_id": f"eq.{integration_id}"}
    query |= {column: f"eq.{value}" for column, value in filters.items() if value}
    rows, next_cursor = page.cut(database.read(table, page.narrow(query)))
    if not rows:
        _require_visible(database, integration_id)
    return Reply({name: rows, "next_cursor": next_cursor})


def _require_visible(database: Database, integration_id: str) -> None:
    # Asked only where there is nothing to show: a row that shows proves it as well.
    if not database.read("device_integrations", {"select": "id", "id": f"eq.{integration_id}"}):
        raise NotFound


def choose(call: Call, name: str, known: tuple[str, ...]) -> str | None:
    """The query parameter `name`, one of `known` where it is there; BadRequest otherwise."""
    value = call.query(name)
    if value is not None and value not in known:
        raise BadRequest(errors=[FieldError(name, f"Expected one of: {', '.join(known)}.")])
    return value
