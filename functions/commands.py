"""`/commands`: members tell devices what to do. The scheduler sends; contract: docs/api.md."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import flask
import functions_framework
from pydantic import BaseModel, ConfigDict, Field

from shared.runtime.database.client import as_user
from shared.runtime.numbers import Whole
from shared.runtime.web.rate_limits import COMMANDS, settle_limits
from shared.runtime.web.routing import Call, Reply, Router, parse_uuid

COLUMNS = (
    "id,organization_id,device_id,integration_id,name,payload,status,attempts,expires_at,reference,result,"
    "error,created_by,created_at,finished_at"
)
router = Router("commands")


class NewCommand(BaseModel):
    """The body of POST."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    device_id: uuid.UUID
    name: str = Field(min_length=1, max_length=200, pattern=r"\S")
    payload: Any = Field(default_factory=dict)
    expires_in_seconds: Whole = Field(default=3600, ge=1, le=600_000)
    """After this it is not sent any more."""


@functions_framework.http
def commands(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("POST", "/")
def send_command(call: Call) -> Reply:
    """Take a command for a device; it is sent with the next tick and tried again until it expires."""
    user, body = call.user, call.json(NewCommand)
    expires_at = datetime.now(UTC) + timedelta(seconds=body.expires_in_seconds)
    command = {
        "device_id": str(body.device_id),
        "name": body.name,
        "payload": body.payload,
        "expires_at": expires_at.isoformat(),
    }
    result = as_user(user.token).call("send_command", p_command=command, p_limits=COMMANDS.limits())
    row = settle_limits(call, COMMANDS, result)["command"]
    location = f"/functions/v1/commands/{row['id']}"
    return Reply({"command": row}, HTTPStatus.ACCEPTED, {"Location": location})


@router.route("GET", "/{id}")
def get_command(call: Call) -> Reply:
    """What became of it."""
    database = as_user(call.user.token)
    command_id = parse_uuid(call.parameters["id"], "id")
    query = {"select": COLUMNS, "id": f"eq.{command_id}"}
    return Reply({"command": database.read_one("device_commands", query)})
