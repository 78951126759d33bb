"""What Golioth's devices say of their updates, as `OtaEvent`s.

States and reasons are those a device reports (Golioth's device API and firmware SDK). State 3 is said twice: before the
restart into the new image, with the old version, and after it. Of OTA events Golioth documents the fields, not the
values of eventType and status; so they are read by their words, then by the numbers of the states, and what can't be
told stays a step of the history without a state. How a device fares is settled by what it says of itself.
"""

from __future__ import annotations

import re

from shared.provider import Heard, Item, OtaEvent
from shared.providers.golioth.firmware_objects import TEXT_LIMIT

STATES: dict[int, Heard] = {0: "idle", 1: "downloading", 2: "downloaded", 3: "updated"}
SUCCEEDED, WILL_RETRY = 1, 11
FAILURES = {
    2: "Not enough flash memory.",
    3: "Out of RAM.",
    4: "The connection was lost.",
    5: "The integrity check failed.",
    6: "The package type is not supported.",
    7: "The URI is not valid.",
    8: "The firmware update failed.",
    9: "The protocol is not supported.",
    10: "The image could not be stored.",
}
RETRYING = "The update failed; the device tries again by itself."
_WORDS: tuple[tuple[str, Heard], ...] = (
    (r"fail|(?<!no )(?<!without )error|abort|reject|rolled.?back|rollback", "failed"),
    (r"retry", "pending"),
    (r"download(ed|\W*(success|complet|finish))", "downloaded"),
    (r"download", "downloading"),
    (r"updated|(update|install)\w*\W*(success|complet|finish)", "updated"),
    (r"updating|install", "downloaded"),
    (r"\bidle\b", "idle"),
)


def read_event(entry: object) -> OtaEvent | None:
    """An entry of `ota-events`; None where it names no device or package."""
    item = Item(entry)
    device, package = _read_name(item, "deviceId"), _read_name(item, "packageId")
    if not device or not package:
        return None
    words = f"{item.text('eventType') or ''} {item.text('message') or ''}".replace("_", " ")
    return OtaEvent(
        device,
        package,
        _read_words(words) or STATES.get(_read_code(item, "status")),
        item.time("timestamp"),
        _read_name(item, "currentVersion"),
        _read_name(item, "targetVersion"),
        _read_name(item, "eventType") or "event",
        _read_name(item, "message"),
    )


def read_packages(fields: object) -> dict[str, OtaEvent]:
    """`metadata.update` of a device, by package."""
    device = Item(fields)
    updates = device.item("metadata").named("update")
    return {name: _read_update(_read_name(device, "id") or "", name, each) for name, each in updates.items()}


def _read_update(device: str, package: str, update: Item) -> OtaEvent:
    reason = _read_code(update, "reasonCode")
    state = STATES.get(_read_code(update, "stateCode")) or _read_words(update.text("state") or "")
    message = None
    if reason in FAILURES:
        state, message = "failed", _read_name(update, "reason") or FAILURES[reason]
    elif reason == WILL_RETRY:
        state, message = "pending", RETRYING
    elif reason == SUCCEEDED:
        state = "updated"
    version, target = _read_name(update, "version"), _read_name(update, "target")
    return OtaEvent(
        device, package[:TEXT_LIMIT], state, update.time("time"), version, target, message=message
    )


def _read_name(item: Item, name: str) -> str | None:
    return item.text(name, TEXT_LIMIT)


def _read_words(text: str) -> Heard | None:
    return next((state for words, state in _WORDS if re.search(words, text, re.IGNORECASE)), None)


def _read_code(item: Item, name: str) -> int:
    code = item.count(name)
    return -1 if code is None else code
