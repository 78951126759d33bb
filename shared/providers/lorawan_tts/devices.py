"""An application's devices as a Directory: registered at the Identity Server, and at those for network, joins and data.

Tags are one attribute, `tags`, joined by commas; other attributes are facts of the device. A device that we make is
activated over the air, under `eui-<DevEUI>`. Writing one down again does no harm, but for the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from shared.provider import (
    NO_EUI,
    CredentialsRefused,
    DeviceChange,
    DevicePage,
    Item,
    LorawanDirectory,
    NewDevice,
    ProtocolFailed,
    ProviderRefused,
    RemoteDevice,
    join_tags,
    read_tags,
)
from shared.providers.lorawan_tts.api import TtsApi
from shared.providers.lorawan_tts.registered import (
    REFUSED,
    find_eui,
    name_device,
    read_device,
    write_device,
)

PAGE_SIZE, MOST_PAGES = 100, 10_000
FIELDS = "name,attributes,version_ids,last_seen_at"
ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}
"""An id of ours that can't be one of theirs may be told as malformed."""

NO_PLAN = "Set frequency_plan_id: a device is made for one frequency plan."


@dataclass(frozen=True, slots=True)
class Activation:
    """How a device that we make joins."""

    join_eui: str
    lorawan_version: str
    lorawan_phy_version: str
    frequency_plan_id: str | None


class TtsDirectory(LorawanDirectory):
    """The devices of one application; `identities` and `cluster` may be two hosts."""

    def __init__(self, identities: TtsApi, cluster: TtsApi, activation: Activation) -> None:
        super().__init__(activation.join_eui)
        self._identities, self._cluster, self._activation = identities, cluster, activation

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is the number of the page, from 1, and with which device the one before it began."""
        number, _, before = (cursor or "1").partition(" ")
        page = int(number)
        if page > MOST_PAGES:
            raise ProtocolFailed(f"The Things Stack's list has more than {MOST_PAGES} pages.")
        query = {"limit": PAGE_SIZE, "page": page, "order": "device_id", "field_mask": FIELDS}
        reply = self._identities.call("GET", self._identities.in_application("devices"), query=query)
        items = reply.get("end_devices", []) if isinstance(reply, dict) else None
        if not isinstance(items, list):
            raise ProtocolFailed("The Things Stack answered without a list of devices.")
        devices = [read_device(item) for item in items]
        if devices and devices[0].id == before:
            raise ProtocolFailed("The Things Stack answered with the same page of its list again.")
        return DevicePage(devices, f"{page + 1} {devices[0].id}" if len(items) >= PAGE_SIZE else None)

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its id."""
        found = self._read(device_id)
        return read_device(found.fields) if found else None

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By the id that we would give it: a registry can't be asked for an EUI, and names are not unique there."""
        eui = find_eui(wanted.hardware_ids)
        return self.get(name_device(eui)) if eui else None

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """At the Identity Server, sent once, then at the others; undone where one of those refuses it for good."""
        ids = self._name_ids(wanted)
        host = urlsplit(self._cluster.account.base_url).hostname
        servers = {f"{each}_server_address": host for each in ("network", "application", "join")}
        device = {"ids": ids, "name": wanted.name, "attributes": join_tags({}, wanted.tags), **servers}
        path = self._identities.in_application("devices")
        created = self._identities.call("POST", path, write_device(device), again=False)
        try:
            self._register(ids)
        except (ProviderRefused, CredentialsRefused) as refusal:
            if refusal.is_final or isinstance(refusal, CredentialsRefused):
                self._undo(str(ids["device_id"]))
            raise
        return read_device({**device, **created})

    def update(self, device_id: str, change: DeviceChange) -> None:
        """Its name, and its tags beside the other attributes."""
        found = self._read(device_id)
        if found is None:
            raise ProviderRefused("The device is not there any more.", answered=HTTPStatus.NOT_FOUND)
        device: dict[str, Any] = {"ids": dict(found.item("ids").fields)}
        if change.name:
            device["name"] = change.name
        if change.add_tags or change.remove_tags:
            kept = [each for each in read_tags(found) if each not in change.remove_tags]
            device["attributes"] = join_tags(found.item("attributes").fields, [*kept, *change.add_tags])
        if len(device) > 1:
            self._identities.call(
                "PUT", self._identities.in_application("devices", device_id), write_device(device)
            )

    def delete(self, device_id: str) -> None:
        """At all servers; the Identity Server is the last."""
        for server in ("as", "ns", "js", ""):
            self._delete_at(server, device_id)

    def add_key(self, device_id: str, identity: str, key: str) -> None:  # noqa: ARG002 - what it joins by is told at once
        """The AppKey, at the Join Server; what may be missing at the others is written down again."""
        found = self._read(device_id)
        ids = dict(found.item("ids").fields) if found else {}
        self._register(ids)
        device = {"ids": ids, "root_keys": {"app_key": {"key": key.upper()}}}
        path = self._cluster.in_application("devices", device_id, server="js")
        self._cluster.call("PUT", path, write_device(device, "root_keys.app_key.key"))

    def _delete_at(self, server: str, device_id: str) -> None:
        api = self._cluster if server else self._identities
        try:
            api.call("DELETE", api.in_application("devices", device_id, server=server))
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def _undo(self, device_id: str) -> None:
        """As `delete`, with the rights that there are: what refuses the key has not been written to."""
        for server in ("as", "ns", ""):
            with suppress(CredentialsRefused):
                self._delete_at(server, device_id)

    def _read(self, device_id: str) -> Item | None:
        path = self._identities.in_application("devices", device_id)
        try:
            return Item(self._identities.call("GET", path, query={"field_mask": FIELDS}))
        except ProviderRefused as refusal:
            if refusal.answered in ABSENT:
                return None
            raise

    def _name_ids(self, wanted: NewDevice) -> dict[str, Any]:
        eui = find_eui(wanted.hardware_ids)
        if eui is None:
            raise ProviderRefused(NO_EUI, answered=REFUSED)
        if not self._activation.frequency_plan_id:
            raise ProviderRefused(NO_PLAN, answered=REFUSED)
        application = {"application_id": self._identities.account.application_id}
        return {
            "device_id": name_device(eui),
            "application_ids": application,
            "dev_eui": eui,
            "join_eui": self._activation.join_eui,
        }

    def _register(self, ids: Mapping[str, Any]) -> None:
        """At the Network and the Application Server."""
        how, device_id = self._activation, str(ids.get("device_id", ""))
        network = {
            "ids": ids,
            "lorawan_version": how.lorawan_version,
            "lorawan_phy_version": how.lorawan_phy_version,
            "frequency_plan_id": how.frequency_plan_id,
            "supports_join": True,
        }
        for server, device in (("ns", network), ("as", {"ids": ids})):
            path = self._cluster.in_application("devices", device_id, server=server)
            self._cluster.call("PUT", path, write_device(device))
