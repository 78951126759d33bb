"""What the devices of every LoRaWAN network server have in common: they join with a key, never with a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.provider.check import Check, explain_url, run_checks
from shared.provider.devices import Directory
from shared.provider.lorawan import LorawanReceiver
from shared.runtime.deadline import Deadline
from shared.runtime.errors import NotSupported

CHECK_SECONDS = 9.0

NO_EUI = "It has no DevEUI among its hardware_ids (16 hex digits), which a LoRaWAN device is made by."
NO_CERTIFICATES = "LoRaWAN devices have no certificates; choose the credentials psk, which is the AppKey."


class LorawanDirectory(Directory):
    """Devices that are activated over the air, all of them with the same JoinEUI."""

    def __init__(self, join_eui: str) -> None:
        self._join_eui = join_eui

    def name_identity(self, name: str) -> str:  # noqa: ARG002 - the same for all
        """The JoinEUI: with it, its DevEUI and the key a device joins."""
        return self._join_eui

    def add_authority(self, certificate: str) -> None:  # noqa: ARG002 - there is none
        """Refused, as there are none."""
        raise NotSupported(NO_CERTIFICATES)

    def describe_certificate(self, name: str) -> dict[str, str]:  # noqa: ARG002 - there is none
        """Refused, as there are none."""
        raise NotSupported(NO_CERTIFICATES)


def check_application(
    receiver: LorawanReceiver, api_url: str | None, read_devices: Callable[[Deadline], str]
) -> Iterator[Check]:
    """What comes in first, then the API that is called, where there is one; a failed step ends it."""
    for check in receiver.check_receiver():
        yield check
        if not check.ok:
            return
    if api_url is None:
        return
    deadline = Deadline(CHECK_SECONDS)
    yield from run_checks(
        [("address", lambda: explain_url(api_url, deadline)), ("devices", lambda: read_devices(deadline))]
    )
