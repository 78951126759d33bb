"""Event ids made of what publishers call their messages."""

from __future__ import annotations

EVENT_ID_BYTES = 2_000
"""The ledger's index holds no more in a row."""


def name_own_event(device: str | None, own: object) -> str | None:
    """The event id of what a device calls `own`; None where that is none, or too long.

    The first colon ends the device: whatever ids hold, no two pairs make the same text.
    """
    if not isinstance(own, str | int | float) or isinstance(own, bool) or own == "":
        return None
    if isinstance(own, float) and own.is_integer():
        own = int(own)
    named = f"{_escape_colons(device or '')}:{own}"
    return named if len(named.encode()) <= EVENT_ID_BYTES else None


def _escape_colons(device: str) -> str:
    return device.replace("%", "%25").replace(":", "%3A") if ":" in device or "%" in device else device
