"""Whether a device says that it is online: its birth message or last will, in one of several spellings."""

from __future__ import annotations

from typing import Any, Literal

from shared.provider.decoding.readers import NUMBERS
from shared.provider.messages import JsonObject, Kind

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
