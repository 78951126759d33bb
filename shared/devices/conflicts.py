"""Names and tags that were changed on both sides: members see the conflicts, admins say which side counts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.integrations.scope import choose, list_page, read_id
from shared.runtime.database.client import as_user
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router, parse_uuid

STATUSES = ("open", "resolved")
COLUMNS = (
    "id,organization_id,integration_id,device_id,fields,local,remote,status,resolution,policy,created_at,"
    "resolved_at,resolved_by,applied_at"
)


class Resolution(BaseModel):
    """The body of POST …/conflicts/{conflict_id}/resolve: whose values count."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    resolution: Literal["local", "remote"]


def add_conflict_routes(router: Router) -> None:
    """The calls below an integration's path."""
    router.route("GET", "/{id}/conflicts")(list_conflicts)
    router.route("POST", "/{id}/conflicts/{conflict_id}/resolve")(resolve_conflict)


def list_conflicts(call: Call) -> Reply:
    """One page of its conflicts, newest first; `status` narrows it."""
    filters = {"status": choose(call, "status", STATUSES)}
    return list_page(call, "device_conflicts", COLUMNS, filters, "conflicts")


def resolve_conflict(call: Call) -> Reply:
    """Decide an open conflict; the next sync carries it out. Conflict where it is resolved."""
    database, integration_id = as_user(call.user.token), read_id(call)
    conflict_id = parse_uuid(call.parameters["conflict_id"], "conflict_id")
    resolution = call.json(Resolution).resolution
    take_tokens(call, database, WRITES, p_integration_id=integration_id)
    database.call(
        "resolve_conflict",
        p_integration_id=integration_id,
        p_conflict_id=conflict_id,
        p_resolution=resolution,
    )
    query = {"select": COLUMNS, "id": f"eq.{conflict_id}"}
    return Reply({"conflict": database.read_one("device_conflicts", query)})
