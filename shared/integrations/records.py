"""Integrations in the database, as the caller: reading them, and the one call that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from shared.runtime.database.client import as_user
from shared.runtime.errors import BadRequest, FieldError, NotFound
from shared.runtime.log import bind_log
from shared.runtime.web.etags import make_tag, names_tag
from shared.runtime.web.paging import read_page
from shared.runtime.web.rate_limits import WRITES, settle_limits
from shared.runtime.web.routing import Call, Reply, parse_uuid

# In the order the API shows them; settings and secret_names under the names callers know.
_SHOWN = {
    "id": "id",
    "organization_id": "organization_id",
    "integration_type": "integration_type",
    "name": "name",
    "status": "status",
    "config": "settings",
    "secrets": "secret_names",
    "device_count": "device_count",
    "last_sync_at": "last_sync_at",
    "sync_status": "sync_status",
    "error_message": "error_message",
    "created_at": "created_at",
    "created_by": "created_by",
    "updated_at": "updated_at",
}
STATUSES = ("active", "inactive", "error")
COLUMNS = ",".join((*_SHOWN.values(), "version"))


def list_rows(call: Call) -> Reply:
    """One page of the caller's integrations, newest first, with the filters of the query.

    The database writes the page as it is answered: reading and writing it again here cost as much as the rest.
    """
    page, filters = read_page(call.query("limit"), call.query("cursor")), _read_filters(call)
    after_created_at, after_id = page.after or (None, None)
    text = as_user(call.user.token).call_unread(
        "list_integrations",
        p_limit=page.limit,
        p_after_created_at=after_created_at,
        p_after_id=after_id,
        **{f"p_{name}": value for name, value in filters.items()},
    )
    return Reply(orjson.Fragment(text))


def _read_filters(call: Call) -> dict[str, str | None]:
    filters = {name: call.query(name) for name in ("organization_id", "integration_type", "status")}
    if filters["organization_id"]:
        filters["organization_id"] = parse_uuid(filters["organization_id"], "organization_id")
        bind_log(organization=filters["organization_id"])
    if filters["status"] not in {None, *STATUSES}:
        raise BadRequest(errors=[FieldError("status", f"Expected one of: {', '.join(STATUSES)}.")])
    return filters


def read_row(call: Call, integration_id: str) -> Reply:
    """One integration; 304 where the caller has it as it is. NotFound otherwise."""
    database = as_user(call.user.token)
    query = {"select": COLUMNS, "id": f"eq.{integration_id}"}
    reply = show_one(database.read_one("device_integrations", query))
    if names_tag(call.request.headers.get("If-None-Match"), reply.headers["ETag"]):
        return Reply(status=HTTPStatus.NOT_MODIFIED, headers=reply.headers)
    return reply


def read_sealed(call: Call, integration_id: str) -> dict[str, Any]:
    """The row with its sealed secrets, for admins: Forbidden below, NotFound for strangers."""
    rows = as_user(call.user.token).call("sealed_config", p_integration_id=integration_id)
    if not rows:
        raise NotFound
    bind_log(organization=rows[0]["organization_id"])
    return dict(rows[0])


def write_row(call: Call, action: str, write: Mapping[str, Any]) -> dict[str, Any]:
    """`write_integration` in supabase/migrations: limits, idempotency key and the change in one transaction.

    Errors: RateLimited, Forbidden, NotFound, Conflict, PreconditionFailed, BadRequest.
    """
    result: dict[str, Any] = as_user(call.user.token).call(
        "write_integration", p_action=action, p_write=write, p_limits=WRITES.limits()
    )
    return settle_limits(call, WRITES, result)


def show_one(row: Mapping[str, Any]) -> Reply:
    """The reply that shows one row, with the ETag of what it shows."""
    bind_log(organization=row["organization_id"], integration=row["id"])
    body = {"integration": show_integration(row)}
    return Reply(body, headers={"ETag": make_tag(row["version"], body)})


def show_integration(row: Mapping[str, Any]) -> dict[str, Any]:
    """A database row as the API shows it: config without secrets, and the names of those that are set."""
    return {name: row[column] for name, column in _SHOWN.items()}
