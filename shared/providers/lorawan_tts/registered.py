"""A device as The Things Stack registers it: its ids, its tags, what is written of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.provider import TAGS, Item, ProtocolFailed, RemoteDevice, read_tags

EUI = re.compile(r"(?:eui-)?([0-9a-fA-F]{16})")
REFUSED = HTTPStatus.UNPROCESSABLE_ENTITY


def find_eui(hardware_ids: Sequence[str]) -> str | None:
    """The first that is a DevEUI, in capitals."""
    found = (EUI.fullmatch(each) for each in hardware_ids)
    return next((each[1].upper() for each in found if each), None)


def name_device(eui: str) -> str:
    """The id that the console of The Things Stack gives a device, too."""
    return f"eui-{eui.lower()}"


def read_device(value: object) -> RemoteDevice:
    """A device as it is registered; ProtocolFailed without an id. What is malformed in it counts as absent."""
    item = Item(value)
    device_id, eui = item.item("ids").text("device_id"), item.item("ids").text("dev_eui")
    if device_id is None:
        raise ProtocolFailed("The Things Stack answered with a device that has no id.")
    attributes = item.item("attributes")
    version = item.item("version_ids")
    brand, model = version.text("brand_id"), version.text("model_id")
    told = {
        name: text
        for name in attributes.fields
        if name != TAGS and (text := attributes.text(name)) is not None
    }
    return RemoteDevice(
        id=device_id,
        name=item.text("name") or device_id,
        hardware_ids=(eui.upper(),) if eui else (),
        tags=read_tags(item),
        updated_at=item.time("updated_at"),
        last_report=item.time("last_seen_at"),
        firmware_version=version.text("firmware_version"),
        attributes=told | ({"model": f"{brand}/{model}"} if brand and model else {}),
    )


def write_device(device: Mapping[str, Any], *paths: str) -> dict[str, Any]:
    """A device with the mask of what is written of it."""
    told = [name for name in device if name not in {"ids", "root_keys"}]
    return {"end_device": device, "field_mask": {"paths": [*told, *paths] or ["ids"]}}
