"""The ids of pushed events: what is sent again has the id of what it repeats.

Source: CloudEvents 1.0.2, by which source and id together name an event.
"""

from __future__ import annotations

import hashlib
import uuid

from shared.provider import PushedRequest

ID_BYTES = 2_000
SAME_SECONDS = 300
"""Two equal bodies without id and time are one message within so long, and two beyond."""


def name_occasion(request: PushedRequest, now: float) -> str:
    """What tells equal contents without id and time apart: nothing unsigned, so that a copy is what it copies."""
    if not request.is_signed:
        return _round(now)
    message_id, timestamp = (request.headers.get(name) for name in ("webhook-id", "x-webhook-timestamp"))
    return message_id or (_round(float(timestamp)) if timestamp else "")


def name_pushed(event_id: str, source: str, event_type: str, moment: str, content: bytes) -> str:
    """The event's id, with its source unless it is a UUID, for only together they are unique; else a hash.

    `moment` is its time or occasion, empty where the content has a time in it and so is not sent twice but by a retry.
    """
    if event_id:
        named = event_id if _is_uuid(event_id) else f"{source}/{event_id}"
        if len(named.encode()) <= ID_BYTES:
            return named
    return hashlib.sha256(
        b"\x00".join((source.encode(), event_type.encode(), moment.encode(), content))
    ).hexdigest()


def _round(seconds: float) -> str:
    return str(int(seconds // SAME_SECONDS))


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
