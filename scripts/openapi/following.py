"""What follows from an integration: deliveries, activity, commands to its devices."""

from __future__ import annotations

from http import HTTPStatus

from scripts.openapi.headers import LIMITS, LOCATION
from scripts.openapi.operation import PAGE, Operation, in_query
from scripts.openapi.problems import ADMINS_ONLY, ALWAYS, NAMING_ONE, READING_BODY
from shared.integrations.scope import LEVELS, STATUSES
from shared.runtime.errors import Conflict, Gone, InvalidConfig, NotSupported, RateLimited, VaultError

_READ = (*ALWAYS, *NAMING_ONE)
_CHANGE = (*_READ, *ADMINS_ONLY, Conflict, RateLimited)
_CHANGE_RANGE = (*_READ, *READING_BODY, *ADMINS_ONLY, RateLimited)

_DELIVERIES = Operation(
    "listDeliveries",
    "List the deliveries of an integration, newest first",
    _READ,
    reply=("DeliveryPage",),
    parameters=(
        in_query("status", "Only with this status.", enum=[*STATUSES]),
        in_query("event_type", "Only of this type, such as `device.telemetry`."),
        *PAGE,
    ),
)
_DELIVERY = Operation("getDelivery", "Read one delivery with every attempt", _READ, reply=("OneDelivery",))
_REPLAY_ONE = Operation(
    "replayDelivery",
    "Send one delivery again, under its old webhook-id",
    (*_CHANGE, Gone),
    reply=("ChangedDelivery",),
    status=HTTPStatus.ACCEPTED,
    headers=LIMITS,
)
_CANCEL_ONE = Operation(
    "cancelDelivery", "Take one delivery off the queue", _CHANGE, reply=("ChangedDelivery",), headers=LIMITS
)
_REPLAY_RANGE = Operation(
    "replayDeliveries",
    "Send a range of deliveries again, the oldest first",
    (*_CHANGE_RANGE, Gone),
    reply=("Replayed",),
    status=HTTPStatus.ACCEPTED,
    body="ReplayedRange",
    body_required=False,
    headers=LIMITS,
)
_REPLAY_MESSAGES = Operation(
    "replayMessages",
    "Decode again what could not be decoded, the oldest first",
    (*_CHANGE_RANGE, InvalidConfig, NotSupported, VaultError),
    reply=("ReplayedCounts",),
    body="ReplayedMessages",
    body_required=False,
    headers=LIMITS,
)
_CANCEL_RANGE = Operation(
    "cancelDeliveries",
    "Take a range of deliveries off the queue",
    _CHANGE_RANGE,
    reply=("Cancelled",),
    body="CancelledRange",
    body_required=False,
    headers=LIMITS,
)
_ACTIVITY = Operation(
    "listActivity",
    "List what happened to an integration, newest first",
    _READ,
    reply=("ActivityPage",),
    parameters=(in_query("level", "Only of this level.", enum=[*LEVELS]), *PAGE),
)
_SEND_COMMAND = Operation(
    "sendCommand",
    "Tell a device something, sent with the next tick",
    (*ALWAYS, *READING_BODY, *ADMINS_ONLY, RateLimited),
    reply=("OneCommand",),
    status=HTTPStatus.ACCEPTED,
    body="NewCommand",
    headers=LOCATION | LIMITS,
    links={
        "getCommand": {"operationId": "getCommand", "parameters": {"path.id": "$response.body#/command/id"}}
    },
)
_GET_COMMAND = Operation("getCommand", "What became of a command", _READ, reply=("OneCommand",))

FOLLOWING_ONE = {
    "deliveries": {"get": _DELIVERIES},
    "deliveries/replay": {"post": _REPLAY_RANGE},
    "deliveries/cancel": {"post": _CANCEL_RANGE},
    "deliveries/{delivery_id}": {"get": _DELIVERY},
    "deliveries/{delivery_id}/replay": {"post": _REPLAY_ONE},
    "deliveries/{delivery_id}/cancel": {"post": _CANCEL_ONE},
    "messages/replay": {"post": _REPLAY_MESSAGES},
    "activity": {"get": _ACTIVITY},
}
"""What follows the path of one integration."""

COMMANDS = {"/commands": {"post": _SEND_COMMAND}, "/commands/{id}": {"get": _GET_COMMAND}}
