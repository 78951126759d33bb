"""A project's devices as a Directory. Source: Golioth's OpenAPI document.

Names are unique in a project. A device created without a hardware id gets one of Golioth's making. `deviceName` and
`hardwareId` filter by the whole value; `tags` wants all of those given, so each tag is listed by itself. At the top of
a device `status` and `lastReport` are deprecated; `metadata` has them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from shared.provider import (
    LONGEST_TEXT,
    DeviceChange,
    DevicePage,
    Directory,
    Item,
    NewDevice,
    ProtocolFailed,
    ProviderRefused,
    RemoteDevice,
    SettingsStatus,
)
from shared.providers.golioth.api import GoliothApi, read_data, read_list

MAIN_PACKAGE = "main"
_ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}
"""An id of ours that can't be one of Golioth's may be told as malformed."""

_FIRMWARE = {
    "version": "version",
    "target": "target",
    "state": "state",
    "reason": "reason",
    "time": "updated_at",
}


class GoliothDirectory(Directory):
    """The devices of one project, or those of them that carry one of `tags` and are in `cohort`."""

    def __init__(self, api: GoliothApi, tags: Sequence[str] = (), cohort: str | None = None) -> None:
        self._api = api
        self._tags = tuple(dict.fromkeys(tags))
        self._cohort = cohort
        self.narrowed = bool(self._tags or cohort)

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is `<number of the tag>.<page>`; a device with several of the tags comes with the first."""
        number, _, page_text = (cursor or "0.0").partition(".")
        turn = int(number)
        query = {"tags": self._tags[turn] if self._tags else None, "cohortId": self._cohort}
        items, following = self._api.get_page(self._devices(), int(page_text), query)
        devices = [read_device(item) for item in items]
        earlier = set(self._tags[:turn])
        return DevicePage(
            [device for device in devices if earlier.isdisjoint(device.tags)],
            self._name_next(turn, following),
        )

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its id at Golioth."""
        try:
            return read_device(self._api.get_one(self._devices(device_id)))
        except ProviderRefused as refusal:
            if refusal.answered in _ABSENT:
                return None
            raise

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By each hardware id, then by the name."""
        queries = [*({"hardwareId": each} for each in wanted.hardware_ids), {"deviceName": wanted.name}]
        for query in queries:
            reply = self._api.call("GET", self._devices(), query=query | {"perPage": 1})
            if found := read_list(reply):
                return read_device(found[0])
        return None

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """Its tags and cohort have to be there already."""
        body = {
            "name": wanted.name,
            "hardwareIds": wanted.hardware_ids,
            "tagIds": wanted.tags,
            "cohortId": wanted.cohort,
        }
        given = {name: value for name, value in body.items() if value}
        return read_device(read_data(self._api.call("POST", self._devices(), given, again=False)))

    def update(self, device_id: str, change: DeviceChange) -> None:
        """Tags are added and removed one by one: an empty list would count as left out."""
        body = {"name": change.name, "addTagId": change.add_tags, "removeTagId": change.remove_tags}
        given = {name: value for name, value in body.items() if value}
        if given:
            self._api.call("PATCH", self._devices(device_id), given)

    def delete(self, device_id: str) -> None:
        """With all its data at Golioth."""
        try:
            self._api.call("DELETE", self._devices(device_id))
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def add_key(self, device_id: str, identity: str, key: str) -> None:
        """Looks first: the same identity twice would be refused."""
        path = self._devices(device_id, "credentials")
        known = read_list(self._api.call("GET", path))
        if any(credential.get("identity") == identity for credential in known):
            return
        body = {"type": "PRE_SHARED_KEY", "identity": identity, "preSharedKey": key}
        self._api.call("POST", path, body, again=False)

    def name_identity(self, name: str) -> str:
        """`<name>@<project>`, as Golioth's console proposes it."""
        return (
            f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-') or 'device'}@{self._api.account.project_id}"
        )

    def add_authority(self, certificate: str) -> None:
        """As a root; Golioth refuses one it has with 409."""
        body = {"certFile": base64.b64encode(certificate.encode()).decode(), "certType": "root"}
        try:
            self._api.call("POST", self._api.in_project("certificates"), body, again=False)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.CONFLICT:
                raise

    def describe_certificate(self, name: str) -> dict[str, str]:
        """Golioth knows a device whose certificate id is not set yet by its name."""
        return {"organization": self._api.account.project_id, "common_name": name}

    def _devices(self, *parts: str) -> str:
        return self._api.in_project("devices", *parts)

    def _name_next(self, turn: int, page: int | None) -> str | None:
        if page is not None:
            return f"{turn}.{page}"
        return f"{turn + 1}.0" if turn + 1 < len(self._tags) else None


def read_device(value: object) -> RemoteDevice:
    """A device object of Golioth's; ProtocolFailed without an id. What is malformed in it counts as absent."""
    item = Item(value)
    device_id = item.fields.get("id")
    if not isinstance(device_id, str) or not 0 < len(device_id) <= LONGEST_TEXT:
        raise ProtocolFailed("Golioth answered with a device that has no id.")
    known = item.item("metadata")
    firmware = {name: _read_package(update) for name, update in known.named("update").items()}
    return RemoteDevice(
        id=device_id,
        name=item.text("name") or device_id,
        hardware_ids=_read_names(item, "hardwareIds"),
        tags=_read_names(item, "tagIds"),
        cohort=item.text("cohortId"),
        enabled=item.fields.get("enabled") is not False,
        updated_at=item.time("updatedAt"),
        last_online=known.time("lastSeenOnline"),
        last_offline=known.time("lastSeenOffline"),
        last_report=known.time("lastReport"),
        firmware_version=_choose_version(firmware),
        firmware=firmware,
        settings=_read_settings(known.item("lastSettingsStatus")),
    )


def _read_names(item: Item, name: str) -> tuple[str, ...]:
    return tuple(sorted(set(item.texts(name))))


def _read_package(update: Item) -> dict[str, str]:
    return {ours: text for theirs, ours in _FIRMWARE.items() if (text := update.text(theirs))}


def _choose_version(firmware: Mapping[str, Mapping[str, str]]) -> str | None:
    package = firmware.get(MAIN_PACKAGE) or next(iter(firmware.values()), {})
    return package.get("version")


def _read_settings(known: Item) -> SettingsStatus | None:
    if not (status := known.text("status")):
        return None
    told = [(error.text("key"), error.fields.get("code")) for error in known.items("errors")]
    return {
        "status": status,
        "errors": [{"key": key, "code": code} for key, code in told if isinstance(code, int)],
    }
