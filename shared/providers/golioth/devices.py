"""A project's devices as a Directory. Source: Golioth's OpenAPI document.

Names are unique in a project. A device created without a hardware id gets one of Golioth's making. `deviceName` and
`hardwareId` filter by the whole value; `tags` wants all of those given, so each tag is listed by itself. At the top of
a device `status` and `lastReport` are deprecated; `metadata` has them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from shared.provider import (
    DeviceChange,
    DevicePage,
    Directory,
    NewDevice,
    ProtocolFailed,
    ProviderRefused,
    RemoteDevice,
)
from shared.providers.golioth.api import MOST_PAGES, PAGE_SIZE, GoliothApi, is_last_page, read_data, read_list

MAIN_PACKAGE = "main"
LONGEST = 512
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
        turn, page = int(number), int(page_text)
        if page >= MOST_PAGES:
            raise ProtocolFailed(f"Golioth's list has more than {MOST_PAGES} pages.")
        tag = self._tags[turn] if self._tags else None
        query = {"tags": tag, "cohortId": self._cohort, "page": page, "perPage": PAGE_SIZE}
        reply = self._api.call("GET", self._devices(), query=query)
        items = read_list(reply)
        devices = [read_device(item) for item in items]
        earlier = set(self._tags[:turn])
        return DevicePage(
            [device for device in devices if earlier.isdisjoint(device.tags)],
            self._find_next(turn, page, last=is_last_page(reply, page, len(items))),
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

    def _find_next(self, turn: int, page: int, *, last: bool) -> str | None:
        if not last:
            return f"{turn}.{page + 1}"
        return f"{turn + 1}.0" if turn + 1 < len(self._tags) else None


def read_device(item: Any) -> RemoteDevice:
    """A device object of Golioth's; ProtocolFailed without an id. What is malformed in it counts as absent."""
    device_id = item.get("id") if isinstance(item, dict) else None
    if not isinstance(device_id, str) or not 0 < len(device_id) <= LONGEST:
        raise ProtocolFailed("Golioth answered with a device that has no id.")
    known = _read_object(item.get("metadata"))
    firmware = _read_firmware(known.get("update"))
    return RemoteDevice(
        id=device_id,
        name=_read_text(item.get("name")) or device_id,
        hardware_ids=_read_names(item.get("hardwareIds")),
        tags=_read_names(item.get("tagIds")),
        cohort=_read_text(item.get("cohortId")),
        enabled=item.get("enabled") is not False,
        updated_at=_read_time(item.get("updatedAt")),
        last_online=_read_time(known.get("lastSeenOnline")),
        last_offline=_read_time(known.get("lastSeenOffline")),
        last_report=_read_time(known.get("lastReport")),
        firmware_version=_choose_version(firmware),
        firmware=firmware,
        settings=_read_settings(known.get("lastSettingsStatus")),
    )


def _read_firmware(update: Any) -> dict[str, dict[str, Any]]:
    packages = {name: _read_object(state) for name, state in _read_object(update).items()}
    return {
        _clean(name): {
            ours: text for theirs, ours in _FIRMWARE.items() if (text := _read_text(state.get(theirs)))
        }
        for name, state in sorted(packages.items())
    }


def _choose_version(firmware: dict[str, dict[str, Any]]) -> str | None:
    package = firmware.get(MAIN_PACKAGE) or next(iter(firmware.values()), {})
    return package.get("version")


def _read_settings(status: Any) -> dict[str, Any] | None:
    known = _read_object(status)
    if not (text := _read_text(known.get("status"))):
        return None
    errors = [error for error in _read_list(known.get("errors")) if isinstance(error, dict)]
    told = [{"key": _read_text(error.get("key")), "code": error.get("code")} for error in errors]
    return {"status": text, "errors": [each for each in told if isinstance(each["code"], int)]}


def _read_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_names(value: Any) -> tuple[str, ...]:
    return tuple(sorted({text for name in _read_list(value) if (text := _read_text(name))}))


def _read_text(value: Any) -> str | None:
    return _clean(value) or None if isinstance(value, str) else None


def _clean(text: str) -> str:
    # Postgres has no text with NUL.
    return text.replace("\x00", "")[:LONGEST]


def _read_time(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.isoformat() if moment and moment.tzinfo else None
