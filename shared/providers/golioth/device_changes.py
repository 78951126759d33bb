"""What has changed at devices since the last look: coming and going, firmware, settings. Golioth pushes none of it.

Coming, going and firmware have times: what is later than the last look is new, and nothing is kept of the devices. Only
coming and going says whether a device is online: what it says itself may have come here before. The
settings' status has none: kept is what is known of the devices that are not in sync, at most `MOST_UNSYNCED` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from shared.provider import Item, Message, Object, tell_presence
from shared.providers.golioth.messages import keep_storable, name_event, name_topic, read_moment, read_time

IN_SYNC = "in-sync"
MOST_UNSYNCED = 1_000
DIGEST_LENGTH = 12

Status = Literal["online", "offline"]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the devices. What is later than `since` is new; without it, at the first look, nothing is.

    `before` is the settings' status of the devices that were not in sync, `unsynced` of those that are not now. `after`
    names the look before this one.
    """

    since: datetime | None
    now: datetime
    before: Mapping[str, str] = field(default_factory=dict)
    unsynced: dict[str, str] = field(default_factory=dict)
    after: str = ""


def find_changes(device_id: str, fields: Object, look: Look) -> Iterator[Message]:
    """What is new at one device, oldest first; `look.unsynced` is added to."""
    metadata = Item(fields).item("metadata")
    settings = _find_settings(device_id, metadata, look)
    if look.since is None:
        return
    found = [*_find_presence(device_id, metadata), *_find_firmware(device_id, metadata)]
    new = [(moment, message) for moment, message in found if moment > look.since]
    for _, message in sorted(new, key=lambda each: each[0]):
        yield keep_storable(message)
    if settings is not None:
        yield keep_storable(_make_settings(device_id, metadata, settings))


def _find_presence(device: str, metadata: Item) -> Iterator[tuple[datetime, Message]]:
    statuses: tuple[tuple[str, Status], ...] = (("lastSeenOnline", "online"), ("lastSeenOffline", "offline"))
    for name, status in statuses:
        if moment := read_moment(metadata.fields.get(name)):
            at = moment.isoformat()
            event_id, payload = name_event("status", device, status, at), {"status": status}
            message = Message(event_id, device, "state", "status", payload, observed_at=at)
            yield moment, tell_presence(message, status)


def _find_firmware(device: str, metadata: Item) -> Iterator[tuple[datetime, Message]]:
    for package, update in metadata.item("update").fields.items():
        if moment := read_moment(Item(update).fields.get("time")):
            event_id, at = name_event("firmware", device, package, update), moment.isoformat()
            topic = name_topic(f"firmware/{package}")
            message = Message(event_id, device, "event", topic, update, observed_at=at)
            yield moment, replace(message, device_status="unheard")


def _find_settings(device: str, metadata: Item, look: Look) -> str | None:
    """The event id of a change of the settings' status; None where it is what it was, or not kept."""
    told = metadata.item("lastSettingsStatus").fields
    is_fine = told.get("status") in {None, "", IN_SYNC}
    digest = "" if is_fine else name_event("settings", told)[-DIGEST_LENGTH:]
    if digest and len(look.unsynced) >= MOST_UNSYNCED:
        return None
    look.unsynced.update({device: digest} if digest else {})
    if digest == look.before.get(device, ""):
        return None
    return name_event("settings", device, told, look.after)


def _make_settings(device: str, metadata: Item, event_id: str) -> Message:
    payload, at = metadata.fields.get("lastSettingsStatus"), read_time(metadata.fields.get("lastReport"))
    message = Message(event_id, device, "state", "settings", payload, observed_at=at)
    return replace(message, device_status="unheard")
