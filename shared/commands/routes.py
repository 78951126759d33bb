"""`/commands`: members tell devices what to do. The scheduler sends; contract: docs/api.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from shared.commands.bodies import CommandRow, NewCommand, OneCommand
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import COMMANDS, Settled, settle_limits
from shared.runtime.web.routes import Routes

routes = Routes()


class _Sent(Settled):
    """What `send_command` answers."""

    command: CommandRow


@routes.post("/", status=HTTPStatus.ACCEPTED, settles=COMMANDS, headers=("Location",))
def send_command(call: Call, body: NewCommand) -> OneCommand:
    """Tell a device something, sent with the next tick and tried again until it expires."""
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


@routes.get("/{id}")
def get_command(call: Call) -> OneCommand:
    """Read what became of a command."""
    query = {"id": f"eq.{call.parameters['id']}"}
    return {"command": call.database.read_one(CommandRow, "device_commands", query)}
