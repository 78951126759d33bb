"""What the devices of every LoRaWAN network server have in common: they join with a key, never with a certificate."""

from __future__ import annotations

from shared.provider.devices import Directory
from shared.runtime.errors import NotSupported

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
