"""A device as The Things Stack registers it: its ids, its tags, what is written of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.provider import Item, ProtocolFailed, ProviderRefused, RemoteDevice

TAGS = "tags"
TAGS_LENGTH = 200
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


def read_tags(device: Item) -> tuple[str, ...]:
    """Those of the attribute, sorted."""
    text = device.item("attributes").text(TAGS) or ""
    return tuple(sorted({each.strip() for each in text.split(",") if each.strip()}))


def join_tags(attributes: Mapping[str, object], tags: Sequence[str]) -> dict[str, object]:
    """The attributes with these tags; ProviderRefused where they don't fit."""
    if wrong := [each for each in tags if "," in each]:
        raise ProviderRefused(f"A tag has no comma there: {wrong[0]!r}.", answered=REFUSED)
    joined = ",".join(sorted(set(tags)))
    if len(joined) > TAGS_LENGTH:
        raise ProviderRefused(f"All tags of a device have {TAGS_LENGTH} characters there.", answered=REFUSED)
    kept = {name: value for name, value in attributes.items() if name != TAGS}
    return kept | ({TAGS: joined} if joined else {})


def write_device(device: Mapping[str, Any], *paths: str) -> dict[str, Any]:
    """A device with the mask of what is written of it."""
    told = [name for name in device if name not in {"ids", "root_keys"}]
    return {"end_device": device, "field_mask": {"paths": [*told, *paths] or ["ids"]}}
