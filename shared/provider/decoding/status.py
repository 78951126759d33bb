"""Whether a device is online: by its birth message or last will, in one of several spellings, or by its platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from shared.provider.decoding.readers import NUMBERS
from shared.provider.messages import JsonObject, Kind, Message, Presence, Report

Status = Literal["online", "offline"]
STATUS_FIELDS = ("status", "state", "online")
AROUND_WORDS = " \t\r\n\x00\ufeff"
"""What may stand around a word that comes as plain text."""


class StatusWords:
    """The words of one integration's devices, and those that every device may use."""

    def __init__(self, online: str, offline: str) -> None:
        self._statuses: dict[str, Status] = {
            **dict.fromkeys(("connected", "true", "1"), "online"),
            **dict.fromkeys(("disconnected", "false", "0"), "offline"),
            online.lower(): "online",
            offline.lower(): "offline",
        }

    def read(self, value: Any) -> Status | None:
        """What a word says, or a truth value or number in its place."""
        if isinstance(value, str):
            return self._statuses.get(value.strip().lower())
        return self._statuses.get(str(value).lower()) if isinstance(value, bool | int) else None

    def find(self, document: JsonObject) -> Status | None:
        """What the first field says that says anything."""
        return next(filter(None, (self.read(document.get(name)) for name in STATUS_FIELDS)), None)


def choose_kind(kind: Kind, document: JsonObject) -> Kind:
    """Of a body that says whether its device is online: what else it holds decides whether it is more than that."""
    numbers = any(type(value) in NUMBERS for name, value in document.items() if name not in STATUS_FIELDS)
    return kind if kind == "telemetry" and numbers else "state"


def tell_presence(message: Message, status: Status, order: str = "") -> Message:
    """`message` as the platform's word that its device came or went, which counts by `order`, whenever it arrives.

    `order` is as in `Presence`; where there is none the moment that it speaks of is, and without that the arrival.
    """
    order = order or message.observed_at or ""
    if not order:
        return replace(message, device_status=status)
    presence = Presence(status, order, message.observed_at)
    return replace(message, device_status="unheard", report=Report(presence=presence))
