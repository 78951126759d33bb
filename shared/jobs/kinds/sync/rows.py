"""What the SQL functions of a sync take and answer."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from shared.provider import RemoteDevice


class Values(TypedDict, total=False):
    """What both sides may change of a device."""

    name: str
    tags: list[str]


class Change(TypedDict, total=False):
    """A device as the report names it: what was `taken` from there, the `values` that were told there."""

    action: str
    device_id: str
    remote_id: str
    name: str
    taken: Values
    values: Values
    conflict: bool
    error: str


class Push(TypedDict):
    """What only changed here, for the provider to be told."""

    device_id: str
    remote_id: str
    values: Values
    add_tags: NotRequired[list[str]]
    remove_tags: NotRequired[list[str]]


class SyncedRow(Change, total=False):
    """What came of one device, as `sync_devices` and `link_devices` answer; `linked` only of the latter."""

    linked: bool
    push: Push


class UnlinkedRow(TypedDict):
    """A device that the provider does not have, as `list_unlinked` answers it."""

    device_id: str
    external_id: str
    name: str
    tags: list[str]
    hardware_ids: list[str]


class Link(TypedDict):
    """A device, and what was created or found for it at the provider."""

    device_id: str
    remote: RemoteDevice | None
