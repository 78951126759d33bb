"""`/commands`: members tell devices what to do. The scheduler sends; contract: docs/api.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from typing_extensions import TypedDict

from shared.commands.bodies import CommandRow, NewCommand, OneCommand
from shared.provider import Commander, find_provider, list_types, require_class
from shared.runtime.errors import CommandRefused, Conflict, NotSupported
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import COMMANDS, Settled, settle_limits, take_tokens
from shared.runtime.web.routes import Routes

routes = Routes()


class _Sent(Settled):
    """What `send_command` answers."""

    command: CommandRow


class _Connection(TypedDict):
    integration_type: str
    settings: dict[str, object]


class _Device(TypedDict):
    organization_id: str
    external_id: str
    device_integrations: _Connection | None


DEVICE = "organization_id,external_id,device_integrations(integration_type,settings)"


@routes.post(
    "/",
    status=HTTPStatus.ACCEPTED,
    settles=COMMANDS,
    headers=("Location",),
    problems=(Conflict, NotSupported),
)
def send_command(call: Call, body: NewCommand) -> OneCommand:
    """Tell a device something, sent with the next tick and tried again until it expires."""
    _check_way(call, body)
    expires_at = datetime.now(UTC) + timedelta(seconds=body.expires_in_seconds)
    command = {
        "device_id": body.device_id,
        "name": body.name,
        "payload": body.payload,
        "expires_at": expires_at,
    }
    sent: _Sent = call.database.call("send_command", p_command=command)
    settle_limits(call, COMMANDS, sent)
    call.headers["Location"] = f"/functions/v1/commands/{sent['command']['id']}"
    return {"command": sent["command"]}


def _check_way(call: Call, body: NewCommand) -> None:
    """Conflict or NotSupported where no command of this name can ever reach the device.

    Said to members only, and at the price of a command. What is not visible, or has no way, send_command has words for.
    """
    query = {"id": f"eq.{body.device_id}", "select": DEVICE}
    for device in call.database.read(_Device, "devices", query):
        try:
            _require_way(device, body.name)
        except (CommandRefused, NotSupported) as refusal:
            take_tokens(call, COMMANDS, p_organization_id=device["organization_id"])
            call.database.call("require_role", p_organization_id=device["organization_id"], p_role="member")
            raise (Conflict(refusal.detail) if isinstance(refusal, CommandRefused) else refusal) from None


def _require_way(device: _Device, name: str) -> None:
    connection = device["device_integrations"]
    if connection and connection["integration_type"] in list_types():
        provider = require_class(find_provider(connection["integration_type"]), Commander)
        provider.check_command(connection["settings"], device["external_id"], name)


@routes.get("/{id}")
def get_command(call: Call) -> OneCommand:
    """Read what became of a command."""
    query = {"id": f"eq.{call.parameters['id']}"}
    return {"command": call.database.read_one(CommandRow, "device_commands", query)}
