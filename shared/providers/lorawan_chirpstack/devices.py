"""An application's devices as a Directory, each under its DevEUI in small letters.

ChirpStack's tags have a name and a value: `floor=2` here, or the name alone where the value is empty. A device that we
make is activated over the air. A key of a tenant is told of a device that is not there what it is told of one that it
may not see, so whether it may see the application is asked then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from typing import Any

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
)
from shared.providers.lorawan_chirpstack.api import ChirpstackApi, find_eui

PAGE_SIZE, MOST_DEVICES = 100, 1_000_000
BY_EUI = 1
"""The order of a list that no change of a name disturbs; versions before 4.13 know only that of names."""

REFUSED = HTTPStatus.UNPROCESSABLE_ENTITY
NO_PROFILE = "Set device_profile_id: a device is made for one device profile."


@dataclass(frozen=True, slots=True)
class Activation:
    """How a device that we make joins."""

    join_eui: str
    device_profile_id: str | None


class ChirpstackDirectory(LorawanDirectory):
    """The devices of one application."""

    def __init__(self, api: ChirpstackApi, activation: Activation) -> None:
        super().__init__(activation.join_eui)
        self._api, self._activation = api, activation
        self._application_id = api.account.application_id

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is how many devices come before."""
        before = int(cursor or 0)
        reply = self._list(PAGE_SIZE, before)
        after = before + len(reply.result)
        if after > MOST_DEVICES:
            raise ProtocolFailed(f"ChirpStack's list has more than {MOST_DEVICES} devices.")
        is_last = not reply.result or after >= reply.total_count
        return DevicePage([_describe(each, each) for each in reply.result], None if is_last else str(after))

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its DevEUI."""
        found = self._read(device_id)
        return _describe(found.device, found) if found else None

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By its DevEUI: names are not unique there."""
        eui = find_eui(wanted.hardware_ids)
        return self.get(eui) if eui else None

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """Sent once; what is answered is read afterwards, for the call itself answers nothing."""
        eui, profile = find_eui(wanted.hardware_ids), self._activation.device_profile_id
        if eui is None or profile is None:
            raise ProviderRefused(NO_EUI if eui is None else NO_PROFILE, answered=REFUSED)
        device = {
            "dev_eui": eui,
            "name": wanted.name,
            "application_id": self._application_id,
            "device_profile_id": profile,
            "join_eui": self._activation.join_eui.lower(),
            "tags": [{"key": name, "value": value} for name, value in _split_tags({}, wanted.tags).items()],
        }
        self._api.call("Create", again=False, device=device)
        made = self.get(eui)
        if made is None:
            raise ProtocolFailed("ChirpStack does not have the device that it has just made.")
        return made

    def update(self, device_id: str, change: DeviceChange) -> None:
        """Its name and tags; all else is written back as it was read."""
        found = self._read(device_id)
        if found is None:
            raise ProviderRefused("The device is not there any more.", answered=HTTPStatus.NOT_FOUND)
        device = found.device
        if change.name:
            device.name = change.name
        if change.add_tags or change.remove_tags:
            tags = _change_tags(device.tags, change)
            del device.tags[:]
            for name, value in tags.items():
                device.tags.add(key=name, value=value)
        self._api.call("Update", device=device)

    def delete(self, device_id: str) -> None:
        """With its keys and its queue."""
        if self._read(device_id) is None:
            return
        try:
            self._api.call("Delete", dev_eui=device_id)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def add_key(self, device_id: str, identity: str, key: str) -> None:  # noqa: ARG002 - what it joins by is told at once
        """The AppKey, which of a device of LoRaWAN 1.0 stands where that of the network is in 1.1."""
        keys = {"dev_eui": device_id, "nwk_key": key.lower()}
        try:
            self._api.call("CreateKeys", device_keys=keys)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.CONFLICT:
                raise
            self._api.call("UpdateKeys", device_keys=keys)

    def _list(self, limit: int, offset: int) -> Any:
        return self._api.call(
            "List", application_id=self._application_id, limit=limit, offset=offset, order_by=BY_EUI
        )

    def _read(self, device_id: str) -> Any:
        """What Get answers; None where the application has no such device."""
        eui = find_eui([device_id])
        if eui is None:
            return None
        try:
            found = self._api.call("Get", dev_eui=eui)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise
            return None
        except CredentialsRefused:
            self._list(1, 0)
            return None
        return found if found.device.application_id == self._application_id else None


def _describe(device: Any, known: Any) -> RemoteDevice:
    """Both are one where it is of a list."""
    if find_eui([device.dev_eui]) is None:
        raise ProtocolFailed("ChirpStack answered with a device that has no DevEUI.")
    item = Item(
        {
            "name": device.name,
            "description": device.description,
            "tags": [f"{each.key}={each.value}" if each.value else each.key for each in device.tags],
            "updated_at": _read_time(known, "updated_at"),
            "last_seen_at": _read_time(known, "last_seen_at"),
        }
    )
    description = item.text("description")
    return RemoteDevice(
        id=device.dev_eui.lower(),
        name=item.text("name") or device.dev_eui.lower(),
        hardware_ids=(device.dev_eui.upper(),),
        tags=tuple(sorted(set(item.texts("tags")))),
        updated_at=item.time("updated_at"),
        last_report=item.time("last_seen_at"),
        attributes={"description": description} if description else {},
    )


def _read_time(known: Any, name: str) -> str | None:
    with suppress(ValueError, OverflowError):
        if known.HasField(name):
            return str(getattr(known, name).ToDatetime(tzinfo=UTC).isoformat())
    return None


def _change_tags(entries: Iterable[Any], change: DeviceChange) -> dict[str, str]:
    kept = {each.key: each.value for each in entries}
    for tag in change.remove_tags:
        kept.pop(tag.partition("=")[0], None)
    return _split_tags(kept, change.add_tags)


def _split_tags(kept: Mapping[str, str], tags: Sequence[str]) -> dict[str, str]:
    """Those that stay and those that come; a name has one value."""
    values = dict(kept)
    for tag in tags:
        name, _, value = tag.partition("=")
        if values.setdefault(name, value) != value:
            words = f"A device has one tag of each name there, and this one would have two: {name!r}."
            raise ProviderRefused(words, answered=REFUSED)
    return values
