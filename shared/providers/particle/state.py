"""The variables of one device, read from it one by one: each is a round trip to the device, and costs data.

They can't be written: a function of the device's own does that, which is called by a command.
"""

from __future__ import annotations

from http import HTTPStatus

from pydantic import JsonValue

from shared.provider import (
    Deadline,
    DeviceState,
    Item,
    NotSupported,
    Path,
    ProtocolFailed,
    ProviderRefused,
    find_path,
    read_document,
)
from shared.providers.particle.api import Account, ParticleApi

CALL_SECONDS = 25.0
MOST_VARIABLES = 20
READ_ONLY = (
    "Particle's variables are the device's own and can't be written: call one of its functions by a command."
)


class Variables(DeviceState):
    """The variables of one device, by Particle's id of it. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account, device: str) -> None:
        self._account, self._device = account, device

    def read(self, path: Path) -> JsonValue:
        """A variable, and what is further within one that holds JSON; without a path all of them."""
        with ParticleApi(self._account, Deadline(CALL_SECONDS)) as api:
            if not path:
                return {name: self._read_variable(api, name) for name in self._list_names(api)}
            value = self._read_variable(api, path[0])
        return find_path(value, ".".join(path[1:])) if len(path) > 1 else value

    def write(self, path: Path, value: JsonValue, *, merge: bool) -> JsonValue:  # noqa: ARG002 - refused, whatever it is
        """Refused."""
        raise NotSupported(READ_ONLY)

    def remove(self, path: Path) -> None:  # noqa: ARG002 - refused, whatever it is
        """Refused."""
        raise NotSupported(READ_ONLY)

    def _list_names(self, api: ParticleApi) -> list[str]:
        device = Item(api.call("GET", api.in_scope("devices", self._device)))
        names = sorted(map(str, device.item("variables").fields))
        if len(names) > MOST_VARIABLES:
            raise ProtocolFailed(f"The device has {len(names)} variables; ask for one by its name.")
        return names

    def _read_variable(self, api: ParticleApi, name: str) -> JsonValue:
        try:
            reply = api.call("GET", api.in_scope("devices", self._device, name), again=False)
        except ProviderRefused as refusal:
            if refusal.answered == HTTPStatus.NOT_FOUND:
                words = f"The device is not connected, or has no variable {name}: {refusal.detail}"
                raise ProviderRefused(words, answered=refusal.answered) from None
            raise
        if not isinstance(reply, dict) or "result" not in reply:
            raise ProtocolFailed("Particle answered without a result.")
        value: JsonValue = reply["result"]
        if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            document, _, error = read_document(value.encode())
            return value if error else document
        return value
