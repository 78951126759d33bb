"""LightDB State of one device: the tree of values that it shares with the cloud, usually below `desired` and `state`.

Golioth's document gives PUT, PATCH and POST one meaning: objects are merged into what is there.
"""

from __future__ import annotations

from typing import Any

from shared.provider import Deadline, DeviceState, Path
from shared.providers.golioth.api import Account, GoliothApi, join_path, read_data

CALL_SECONDS = 20.0


class LightDbState(DeviceState):
    """The state of one device, by Golioth's id of it. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account, device: str) -> None:
        self._account = account
        self._device = device

    def read(self, path: Path) -> Any:
        """The value at `path`; None where there is none."""
        return read_data(self._call("GET", path))

    def write(self, path: Path, value: Any, *, merge: bool) -> Any:
        """Write `value`; what Golioth says is there now."""
        return read_data(self._call("PATCH" if merge else "PUT", path, value))

    def remove(self, path: Path) -> None:
        """Remove what is at `path`."""
        self._call("DELETE", path)

    def _call(self, method: str, path: Path, value: Any = None) -> Any:
        with GoliothApi(self._account, Deadline(CALL_SECONDS)) as api:
            return api.call(method, api.in_project("devices", self._device, "data") + join_path(*path), value)
