"""What callers of `/commands` send, and what they get."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypedDict

from shared.runtime.bodies import VISIBLE, Body, Moment, Uuid
from shared.runtime.numbers import Whole
from shared.runtime.portable import check_portable

PAYLOAD_BYTES = 262_144


def _check_payload(payload: Any) -> Any:
    if payload is None:
        raise ValueError("Expected JSON other than null; leave it out for a command without a payload.")
    return check_portable(payload, most_bytes=PAYLOAD_BYTES)


class NewCommand(Body):
    """The body of POST."""

    device_id: uuid.UUID
    name: str = Field(min_length=1, max_length=200, pattern=VISIBLE)
    payload: Annotated[Any, AfterValidator(_check_payload), WithJsonSchema({"not": {"type": "null"}})] = (
        Field(default_factory=dict)
    )
    expires_in_seconds: Whole = Field(default=3600, ge=1, le=600_000)
    """After this it is not sent any more."""


class CommandRow(TypedDict):
    """One thing told to one device; `reference` is the other side's name for it, `error` why it failed.

    `result` is what the device answered.
    """

    id: Uuid
    organization_id: Uuid
    device_id: Uuid
    integration_id: Uuid
    name: str
    payload: Any
    status: Literal["pending", "sending", "sent", "confirmed", "failed", "expired"]
    attempts: int
    expires_at: Moment
    reference: str | None
    result: Any
    error: str | None
    created_by: Uuid | None
    created_at: Moment
    finished_at: Moment | None


OneCommand = TypedDict("OneCommand", {"command": CommandRow})
