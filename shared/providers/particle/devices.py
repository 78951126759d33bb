"""A product's devices as a Directory, or an account's own. Their tags are the groups of the product.

A device is Particle's by the id that it was made with (24 hex digits): one that we make is that device, added to the
product. Signing in is its own key, made in its factory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from shared.provider import (
    LONGEST_TEXT,
    MAIN_PACKAGE,
    DeviceChange,
    DevicePage,
    Directory,
    Item,
    NewDevice,
    NotSupported,
    ProtocolFailed,
    ProviderRefused,
    RemoteDevice,
)
from shared.providers.particle.api import ParticleApi

ID = re.compile(r"[0-9a-f]{24}")
ABSENT = frozenset((HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST))
"""An id of ours that can't be one of theirs may be told as malformed."""

NO_ID = "It has no device id of Particle's among its hardware_ids (24 hex digits), by which a device is added there."
NO_KEYS = (
    "Particle's devices have keys of their own, made in the factory; make the device without credentials."
)
_FACTS = ("notes", "iccid", "imei", "status", "last_ip_address")


class ParticleDirectory(Directory):
    """The devices of one account, or those of them in one of `groups`; `claim_user` claims what is made."""

    def __init__(self, api: ParticleApi, groups: Sequence[str] = (), claim_user: str | None = None) -> None:
        self._api = api
        self._groups = tuple(dict.fromkeys(groups))
        self._claim_user = claim_user
        self.narrowed = bool(self._groups)

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is `<number of the group>.<page>`; a device in several of the groups comes with the first.

        One beyond the groups is of a config that had more of them: the list begins anew.
        """
        turn_text, _, page_text = (cursor or "0.1").partition(".")
        turn, page = int(turn_text), int(page_text)
        if turn and turn >= len(self._groups):
            turn, page = 0, 1
        query = {"groups": self._groups[turn]} if self._groups else {}
        items, is_last = self._api.get_page(page, **query)
        devices = [read_device(item) for item in items]
        earlier = set(self._groups[:turn])
        following = f"{turn}.{page + 1}" if not is_last else self._name_next(turn)
        return DevicePage([each for each in devices if earlier.isdisjoint(each.tags)], following)

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its id at Particle; what can be none there is none."""
        found = self._read(device_id) if ID.fullmatch(device_id.lower()) else None
        return read_device(found) if found else None

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By the id among its hardware ids: names are not unique there."""
        device_id = find_id(wanted.hardware_ids)
        return self.get(device_id) if device_id else None

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """Add it to the product, or claim it for the account; its name and groups follow (`settle`)."""
        device_id = find_id(wanted.hardware_ids)
        if device_id is None:
            raise ProviderRefused(NO_ID, answered=HTTPStatus.UNPROCESSABLE_ENTITY)
        claim = {"claim_user": self._claim_user} if self._claim_user else {}
        self._api.call("POST", self._devices(), {"id": device_id, **claim}, again=False)
        return self._require(device_id)

    def settle(self, device_id: str, wanted: NewDevice) -> RemoteDevice:
        """Its name and groups."""
        self._change(device_id, {"name": wanted.name, "groups": list(wanted.tags)})
        return self._require(device_id)

    def update(self, device_id: str, change: DeviceChange) -> None:
        """Its name; and its groups, which are written whole."""
        body: dict[str, object] = {"name": change.name} if change.name else {}
        if change.add_tags or change.remove_tags:
            found = self._read(device_id)
            if found is None:
                raise ProviderRefused("The device is not there any more.", answered=HTTPStatus.NOT_FOUND)
            kept = [each for each in found.texts("groups") if each not in change.remove_tags]
            body["groups"] = list(dict.fromkeys([*kept, *change.add_tags]))
        self._change(device_id, body)

    def delete(self, device_id: str) -> None:
        """Take it out of the product, or give up the claim."""
        try:
            self._api.call("DELETE", self._devices(device_id))
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def add_key(self, device_id: str, identity: str, key: str) -> None:  # noqa: ARG002 - refused, whatever it is
        """Refused."""
        raise NotSupported(NO_KEYS)

    def name_identity(self, name: str) -> str:  # noqa: ARG002 - there is none
        """Refused."""
        raise NotSupported(NO_KEYS)

    def add_authority(self, certificate: str) -> None:  # noqa: ARG002 - there is none
        """Refused."""
        raise NotSupported(NO_KEYS)

    def describe_certificate(self, name: str) -> dict[str, str]:  # noqa: ARG002 - there is none
        """Refused."""
        raise NotSupported(NO_KEYS)

    def _change(self, device_id: str, body: Mapping[str, object]) -> None:
        # An account's own devices have no groups.
        wanted = (
            dict(body) if self._api.account.product_id else {k: v for k, v in body.items() if k != "groups"}
        )
        if wanted:
            self._api.call("PUT", self._devices(device_id), wanted)

    def _read(self, device_id: str) -> Item | None:
        try:
            return Item(self._api.call("GET", self._devices(device_id)))
        except ProviderRefused as refusal:
            # Of an account's own devices those of others are forbidden; of a product's the token may read none then.
            is_others = refusal.answered == HTTPStatus.FORBIDDEN and not self._api.account.product_id
            if refusal.answered in ABSENT or is_others:
                return None
            raise

    def _require(self, device_id: str) -> RemoteDevice:
        added = self._read(device_id)
        if added is None:
            words = f"Particle did not add {device_id}: see whether it is a device's id, and claimed by nobody else."
            raise ProviderRefused(words, answered=HTTPStatus.UNPROCESSABLE_ENTITY)
        return read_device(added)

    def _devices(self, *parts: str) -> str:
        return self._api.in_scope("devices", *parts)

    def _name_next(self, turn: int) -> str | None:
        return f"{turn + 1}.1" if turn + 1 < len(self._groups) else None


def find_id(hardware_ids: Sequence[str]) -> str | None:
    """The first that is an id of Particle's."""
    return next((each.lower() for each in hardware_ids if ID.fullmatch(each.lower())), None)


def read_device(item: Item) -> RemoteDevice:
    """A device of Particle's; ProtocolFailed without an id. What is malformed in it counts as absent.

    Whether it is online shows late for devices on mobile networks, so when it was last heard counts.
    """
    device_id = item.fields.get("id")
    if not isinstance(device_id, str) or not 0 < len(device_id) <= LONGEST_TEXT:
        raise ProtocolFailed("Particle answered with a device that has no id.")
    serial, running = item.text("serial_number"), item.count("firmware_version")
    wanted = item.count("desired_firmware_version")
    versions = {"version": running, "target": wanted}
    firmware = {name: str(value) for name, value in versions.items() if value is not None}
    facts = {name: text for name in _FACTS if (text := item.text(name))}
    platform = item.count("platform_id")
    return RemoteDevice(
        id=device_id,
        name=item.text("name") or device_id,
        hardware_ids=tuple(sorted({device_id, *([serial] if serial else [])})),
        tags=tuple(sorted(set(item.texts("groups")))),
        enabled=item.fields.get("quarantined") is not True,
        last_report=item.time("last_heard"),
        firmware_version=None if running is None else str(running),
        firmware={MAIN_PACKAGE: firmware} if firmware else {},
        attributes=facts | ({} if platform is None else {"platform_id": str(platform)}),
    )
