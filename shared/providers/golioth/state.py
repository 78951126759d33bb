"""LightDB State of one device: the tree of values that it shares with the cloud, usually below `desired` and `state`.

Golioth's document gives PUT, PATCH and POST one meaning: objects are merged into what is there.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from shared.provider import Deadline, DeviceState, Path
from shared.providers.golioth.api import Account, GoliothApi, read_data

CALL_SECONDS = 20.0


class LightDbState(DeviceState):
    """The state of one device, by Golioth's id of it. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account, device: str) -> None:
        self._account = account
        self._device = device

    def read(self, path: Path) -> JsonValue:
        """The value at `path`; None where there is none."""
        value: JsonValue = read_data(self._call("GET", path))
        return value

    def write(self, path: Path, value: JsonValue, *, merge: bool) -> JsonValue:
        """Write `value`; what Golioth says is there now."""
        written: JsonValue = read_data(self._call("PATCH" if merge else "PUT", path, value))
        return written

    def remove(self, path: Path) -> None:
        """Remove what is at `path`."""
        self._call("DELETE", path)

    def _call(self, method: str, path: Path, value: JsonValue = None) -> Any:
        with GoliothApi(self._account, Deadline(CALL_SECONDS)) as api:
            place = api.in_project("devices", self._device, "data") + api.join_path(*path)
            return api.call(method, place, value)
