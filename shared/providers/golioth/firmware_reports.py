"""What Golioth's devices say of their updates, as `OtaEvent`s.

States and reasons are those a device reports (Golioth's device API and firmware SDK). State 3 is said twice: before the
restart into the new image, with the old version, and after it. Of OTA events Golioth documents the fields, not the
values of eventType and status; so they are read by their words, then by the numbers of the states, and what can't be
told stays a step of the history without a state. How a device fares is settled by what it says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.provider import Heard, OtaEvent

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
TEXT_LIMIT = 200


def read_event(entry: Mapping[str, Any]) -> OtaEvent | None:
    """An entry of `ota-events`; None where it names no device or package."""
    device, package = clean_text(entry.get("deviceId")), clean_text(entry.get("packageId"))
    if not device or not package:
        return None
    words = f"{entry.get('eventType') or ''} {entry.get('message') or ''}".replace("_", " ")
    return OtaEvent(
        device,
        package,
        _read_words(words) or STATES.get(_read_code(entry.get("status"))),
        read_time(entry.get("timestamp")),
        clean_text(entry.get("currentVersion")),
        clean_text(entry.get("targetVersion")),
        clean_text(entry.get("eventType")) or "event",
        clean_text(entry.get("message")),
    )


def read_packages(device: Mapping[str, Any]) -> dict[str, OtaEvent]:
    """`metadata.update` of a device, by package."""
    metadata = device.get("metadata")
    updates = metadata.get("update") if isinstance(metadata, Mapping) else None
    if not isinstance(updates, Mapping):
        return {}
    entries = ((clean_text(name), entry) for name, entry in updates.items() if isinstance(entry, Mapping))
    device_id = clean_text(device.get("id")) or ""
    return {name: _read_update(device_id, name, entry) for name, entry in entries if name}


def _read_update(device: str, package: str, entry: Mapping[str, Any]) -> OtaEvent:
    reason = _read_code(entry.get("reasonCode"))
    state = STATES.get(_read_code(entry.get("stateCode"))) or _read_words(str(entry.get("state") or ""))
    message = None
    if reason in FAILURES:
        state, message = "failed", clean_text(entry.get("reason")) or FAILURES[reason]
    elif reason == WILL_RETRY:
        state, message = "pending", RETRYING
    elif reason == SUCCEEDED:
        state = "updated"
    version, target = clean_text(entry.get("version")), clean_text(entry.get("target"))
    return OtaEvent(device, package, state, read_time(entry.get("time")), version, target, message=message)


def read_time(value: Any) -> str | None:
    """A timestamp in ISO 8601 with an offset, None where it is none."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def clean_text(value: Any) -> str | None:
    """`value` as text the database can hold; None where nothing is in it."""
    return str(value).replace("\x00", "")[:TEXT_LIMIT] or None if value is not None else None


def _read_words(text: str) -> Heard | None:
    return next((state for words, state in _WORDS if re.search(words, text, re.IGNORECASE)), None)


def _read_code(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else -1
