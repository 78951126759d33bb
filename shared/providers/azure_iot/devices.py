"""A hub's identity registry as a Directory. A tag of ours is a tag of the twin that is true; `name` there is the name.

A device is known by its id, which stays; one that we make gets its name as id, or a hardware id that can be one.
A hardware id that is a certificate's thumbprint (40 or 64 hex digits) is what it signs in with.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.provider import (
    LONGEST_TEXT,
    BadRequest,
    Credentials,
    DeviceChange,
    DevicePage,
    Directory,
    FieldError,
    Item,
    NewDevice,
    NotSupported,
    ProtocolFailed,
    ProviderRefused,
    RemoteDevice,
)
from shared.providers.azure_iot.api import AzureApi

if TYPE_CHECKING:
    from shared.providers.azure_iot import Authentication

PAGE_SIZE = 100
CURSOR_LIMIT = 8_192
ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9.+%_#*?!(),:=@$'-]{1,128}")
THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")
TAG = re.compile(r"[^\x00-\x20.$#\x7f]{1,128}")
NAME = "name"
REFUSED = HTTPStatus.UNPROCESSABLE_ENTITY
CHARACTERS = "up to 128 letters, digits and - . + % _ # * ? ! ( ) , : = @ $ '"
NO_ID = f"Neither its name nor a hardware id can be its id there: {CHARACTERS}"
NO_IDENTITY = f"With a key its name is its id there: {CHARACTERS}"
NO_TAG = "A tag can't have spaces, full stops, # and $ there; choose another."
NO_KEY = (
    "The thumbprint of a certificate is what the device signs in with, and a key would take its place: "
    "send credentials: none or certificate, or leave the thumbprint out."
)
NO_CERTIFICATE = (
    "The hub would not know the certificate: put its thumbprint (40 or 64 hex digits) among the hardware_ids, or set "
    "device_authentication to certificateAuthority."
)
NO_AUTHORITY = (
    "Upload the authority in the portal (Certificates of the hub), and leave ca_certificate out here."
)


class AzureDirectory(Directory):
    """The devices of one hub, or those for which `where`, a condition of its query language, holds."""

    def __init__(self, api: AzureApi, where: str | None, authentication: Authentication) -> None:
        self._api, self._where, self._authentication = api, where, authentication
        self.narrowed = bool(where)

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is the continuation that the hub gave."""
        query = " ".join(["SELECT * FROM devices", *(["WHERE", self._where] if self._where else [])])
        headers = {"x-ms-max-item-count": str(PAGE_SIZE)}
        with self._api.sending(headers | ({"x-ms-continuation": cursor} if cursor else {})):
            found = self._api.call("POST", "/devices/query", {"query": query})
        if not isinstance(found, list):
            raise ProtocolFailed("IoT Hub answered the query without a list.")
        following = self._api.told.get("x-ms-continuation") or None
        if following is not None and len(following) > CURSOR_LIMIT:
            raise ProtocolFailed("IoT Hub answered the query with a continuation that is too long.")
        return DevicePage([read_device(Item(each)) for each in found], following)

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its id; what can be none there is none."""
        if not ID.fullmatch(device_id):
            return None
        try:
            return read_device(Item(self._api.call("GET", self._api.join_path("twins", device_id))))
        except ProviderRefused as refusal:
            if refusal.answered in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
                return None
            raise

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By its name and its hardware ids, as they may be ids there."""
        found = (self.get(each) for each in list_ids(wanted))
        return next((each for each in found if each), None)

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """In the registry, with keys of the hub's making or its thumbprints; its name and tags follow (`settle`)."""
        device_id = next(iter(list_ids(wanted)), None)
        if device_id is None:
            raise ProviderRefused(NO_ID, answered=REFUSED)
        _check_tags(wanted.tags)
        body = {
            "deviceId": device_id,
            "status": "enabled",
            "authentication": self._describe_authentication(wanted),
        }
        return read_device(Item(self._api.call("PUT", self._devices(device_id), body, again=False)))

    def check_credentials(self, wanted: NewDevice, kind: Credentials) -> None:
        """A key would take the place of thumbprints; a certificate the hub knows by one, or by its authority."""
        has_prints = any(THUMBPRINT.fullmatch(each) for each in wanted.hardware_ids)
        if kind == "psk" and has_prints:
            raise BadRequest(errors=[FieldError("hardware_ids", NO_KEY)])
        if kind == "certificate" and not has_prints and self._authentication == "sas":
            raise BadRequest(errors=[FieldError("credentials", NO_CERTIFICATE)])

    def settle(self, device_id: str, wanted: NewDevice) -> RemoteDevice:
        """Its name and tags, in the twin."""
        return read_device(self._patch(device_id, _write_tags(wanted.name, wanted.tags)))

    def update(self, device_id: str, change: DeviceChange) -> None:
        """In the twin, merged into what is there."""
        removed = dict.fromkeys(change.remove_tags)
        tags = {**removed, **_write_tags(change.name, change.add_tags)}
        if tags:
            self._patch(device_id, tags)

    def delete(self, device_id: str) -> None:
        """From the registry, with its twin."""
        try:
            with self._api.sending({"If-Match": "*"}):
                self._api.call("DELETE", self._devices(device_id))
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def add_key(self, device_id: str, identity: str, key: str) -> None:  # noqa: ARG002 - its id is its identity
        """As the primary key; the secondary is made of it, so that doing it twice makes no other."""
        known = Item(self._api.call("GET", self._devices(device_id)))
        second = base64.b64encode(hashlib.sha256(f"secondary:{key}".encode()).digest()).decode()
        keys = {"primaryKey": key, "secondaryKey": second}
        if known.item("authentication").item("symmetricKey").fields.get("primaryKey") == key:
            return
        body = {**known.fields, "authentication": {"type": "sas", "symmetricKey": keys}}
        with self._api.sending({"If-Match": "*"}):
            self._api.call("PUT", self._devices(device_id), body)

    def name_identity(self, name: str) -> str:
        """Its id, which is its name: with it and the key a device signs in."""
        if not ID.fullmatch(name):
            raise ProviderRefused(NO_IDENTITY, answered=HTTPStatus.BAD_REQUEST)
        return name

    def add_authority(self, certificate: str) -> None:  # noqa: ARG002 - the hub's service API takes none
        """Refused."""
        raise NotSupported(NO_AUTHORITY)

    def describe_certificate(self, name: str) -> dict[str, str]:
        """The common name is the device's id."""
        return {"common_name": name}

    def _patch(self, device_id: str, tags: Mapping[str, object]) -> Item:
        with self._api.sending({"If-Match": "*"}):
            return Item(self._api.call("PATCH", self._api.join_path("twins", device_id), {"tags": tags}))

    def _describe_authentication(self, wanted: NewDevice) -> dict[str, Any]:
        prints = [each.upper() for each in wanted.hardware_ids if THUMBPRINT.fullmatch(each)]
        if not prints:
            return {"type": self._authentication}
        first, second = (prints * 2)[:2]
        return {
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": first, "secondaryThumbprint": second},
        }

    def _devices(self, device_id: str) -> str:
        return self._api.join_path("devices", device_id)


def list_ids(wanted: NewDevice) -> list[str]:
    """What can be its id there: its name, its hardware ids but for thumbprints."""
    candidates = (wanted.name, *(each for each in wanted.hardware_ids if not THUMBPRINT.fullmatch(each)))
    return [each for each in dict.fromkeys(candidates) if ID.fullmatch(each)]


def read_device(item: Item) -> RemoteDevice:
    """A twin as a device; ProtocolFailed without an id. What is malformed in it counts as absent."""
    device_id = item.fields.get("deviceId")
    if not isinstance(device_id, str) or not 0 < len(device_id) <= LONGEST_TEXT:
        raise ProtocolFailed("IoT Hub answered with a device that has no id.")
    tags = item.item("tags")
    facts = {name: str(value) for name, value in tags.fields.items() if isinstance(value, str | int | float)}
    attributes = {name: text for name, text in facts.items() if not isinstance(tags.fields[name], bool)}
    state = item.text("connectionState")
    return RemoteDevice(
        id=device_id,
        name=tags.text(NAME) or device_id,
        hardware_ids=(device_id,),
        tags=tuple(sorted(name for name, value in tags.fields.items() if value is True)),
        enabled=item.text("status") != "disabled",
        last_report=item.time("lastActivityTime"),
        attributes=_shorten(attributes) | ({"connection_state": state} if state else {}),
    )


def _shorten(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        name[:LONGEST_TEXT]: text[:LONGEST_TEXT].replace("\x00", "")
        for name, text in attributes.items()
        if name != NAME
    }


def _check_tags(tags: tuple[str, ...]) -> None:
    if not all(TAG.fullmatch(each) and each != NAME for each in tags):
        raise ProviderRefused(NO_TAG, answered=REFUSED)


def _write_tags(name: str | None, tags: tuple[str, ...]) -> dict[str, object]:
    _check_tags(tags)
    return {**dict.fromkeys(tags, True), **({NAME: name} if name else {})}
