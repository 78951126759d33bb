"""Tokens of devices: made here, shown once, kept as hashes; a rotated one goes on for a while beside the new one."""

from __future__ import annotations

import secrets as randomness

from typing_extensions import TypedDict

from shared.devices.token_bodies import DeviceTokenRow, NewDeviceToken, TokenRotation
from shared.provider import TOKEN_PREFIX, hash_token
from shared.runtime.errors import FieldError, InvalidConfig
from shared.runtime.web.call import Call

TOKEN_BYTES = 32
_CLOSED = "This integration takes no tokens of devices; set it to true in its config first."


class _Config(TypedDict):
    settings: dict[str, object]


def issue_token(call: Call, body: NewDeviceToken) -> tuple[DeviceTokenRow, str]:
    """The row of a new token, and the token. Errors: InvalidConfig where the integration takes none, QuotaExceeded."""
    found = call.database.read_one(_Config, "device_integrations", {"id": f"eq.{call.integration_id}"})
    if found["settings"].get("device_tokens") is not True:
        raise InvalidConfig(errors=[FieldError("device_tokens", _CLOSED)])
    token = _make_token()
    row: DeviceTokenRow = call.database.call(
        "issue_device_token",
        p_integration_id=call.integration_id,
        p_external_id=body.device,
        p_token_hash=hash_token(token),
    )
    return row, token


def rotate_token(call: Call, body: TokenRotation) -> tuple[DeviceTokenRow, str]:
    """The row of a new token of the same device, and the token; NotFound where there is none to take the place of."""
    token = _make_token()
    row: DeviceTokenRow = call.database.call(
        "rotate_device_token",
        p_integration_id=call.integration_id,
        p_token_id=call.parameters["token_id"],
        p_token_hash=hash_token(token),
        p_grace_seconds=body.grace_seconds,
    )
    return row, token


def revoke_token(call: Call) -> None:
    """End a token at once; NotFound where there is none."""
    call.database.call(
        "revoke_device_token", p_integration_id=call.integration_id, p_token_id=call.parameters["token_id"]
    )


def _make_token() -> str:
    return TOKEN_PREFIX + randomness.token_urlsafe(TOKEN_BYTES)
