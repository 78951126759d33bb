"""A thing as a device: its name is its id, and what else we know of it is in its attributes.

A thing's name never changes; AWS takes letters, digits and a few signs in names and attributes, and without a thing
type three of those. So ours are three: `name`, `tags` and `hardware_ids`, the last two joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from shared.provider import TAGS, Item, ProtocolFailed, ProviderRefused, RemoteDevice, join_tags, read_tags

NAME, HARDWARE_IDS = "name", "hardware_ids"
OURS = frozenset((NAME, TAGS, HARDWARE_IDS))
MOST_CHARACTERS = 800
THING = re.compile(r"[A-Za-z0-9:_-]{1,128}")
VALUE = r"[A-Za-z0-9_.@/:#-]+"

WRONG_NAME = "A thing's name has letters, digits and : _ - alone, 128 at most: rename the device {name!r}."
WRONG_VALUE = "At AWS a name has letters, digits and _ . @ / : # - alone: {value!r} stays here alone."


def read_thing(value: object, group: str | None = None) -> RemoteDevice:
    """A thing as AWS describes it; ProtocolFailed without a name. What is malformed in it counts as absent."""
    item = Item(value)
    name = item.text("thingName")
    if name is None:
        raise ProtocolFailed("AWS answered with a thing that has no name.")
    attributes = item.item("attributes")
    kind = item.text("thingTypeName")
    told = {key: text for key in attributes.fields if key not in OURS and (text := attributes.text(key))}
    return RemoteDevice(
        id=name,
        name=attributes.text(NAME) or name,
        hardware_ids=split_ids(attributes.text(HARDWARE_IDS, MOST_CHARACTERS)),
        tags=read_tags(item),
        cohort=group,
        attributes=told | ({"thing_type": kind} if kind else {}),
    )


def split_ids(text: str | None) -> tuple[str, ...]:
    """The hardware ids of the attribute, sorted."""
    return tuple(sorted({each for each in (text or "").split(",") if each}))


def check_name(name: str) -> str:
    """`name` where a thing can have it; else ProviderRefused."""
    if not THING.fullmatch(name):
        raise _refuse(WRONG_NAME.format(name=name))
    return name


def write_attributes(hardware_ids: Sequence[str], tags: Sequence[str]) -> dict[str, object]:
    """The attributes of a new thing; ProviderRefused for what AWS does not take."""
    attributes = tag({}, tags)
    if hardware_ids:
        attributes[HARDWARE_IDS] = ",".join(sorted({check_value(each) for each in hardware_ids}))
    return attributes


def tag(attributes: Mapping[str, object], tags: Sequence[str]) -> dict[str, object]:
    """The attributes with these tags."""
    return join_tags(attributes, tags, MOST_CHARACTERS, VALUE)


def check_value(value: str) -> str:
    """`value` where an attribute can have it; else ProviderRefused."""
    if not re.fullmatch(VALUE, value):
        raise _refuse(WRONG_VALUE.format(value=value))
    return value


def _refuse(words: str) -> ProviderRefused:
    return ProviderRefused(words, answered=HTTPStatus.UNPROCESSABLE_ENTITY)
