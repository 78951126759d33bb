"""What callers send who give devices tokens of their own, and what they get."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import TypedDict

from shared.runtime.bodies import VISIBLE, Body, Moment, Uuid
from shared.runtime.numbers import Whole


class NewDeviceToken(Body):
    """The body of POST …/device-tokens: the device, as the outside names it; it need not be known yet."""

    device: str = Field(min_length=1, max_length=512, pattern=VISIBLE)


class TokenRotation(Body):
    """The body of POST …/device-tokens/{token_id}/rotate."""

    grace_seconds: Whole = Field(86_400, ge=0, le=604_800)
    """How long the old one is accepted beside the new one: a day unless told, a week at most."""


class DeviceTokenRow(TypedDict):
    """A token by which a device posts; never the token itself."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    external_id: str
    created_at: Moment
    created_by: Uuid | None
    expires_at: Moment | None


class IssuedToken(TypedDict):
    """A new token, which is shown this once."""

    device_token: DeviceTokenRow
    token: str


class DeviceTokenPage(TypedDict):
    """One page of them."""

    device_tokens: list[DeviceTokenRow]
    next_cursor: str | None
