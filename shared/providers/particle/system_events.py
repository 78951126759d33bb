"""What Particle itself says of devices: that they come and go, their updates, where they are.

Source: Particle's documentation of system events and of the location events of its trackers. They come in any order:
the time of their publication tells which is the later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from shared.provider import (
    Item,
    Message,
    choose_time,
    parse_time,
    read_document,
    tell_presence,
)
from shared.providers.particle.events import ParticleEvent

STATUS, FLASH = "spark/status", "spark/flash/status"
SYSTEM = ("spark/", "particle/")
PLACES = frozenset(("loc", "loc-enhanced"))
FLASHING = {"started": "downloading", "success": "downloaded", "failed": "failed"}
"""Success only says that the image has arrived; what runs afterwards shows in the device itself."""

MAIN = "firmware/main"


def is_system_event(event: ParticleEvent) -> bool:
    """Whether the cloud says it, and no device's own program."""
    return event.name.startswith(SYSTEM) or event.name in PLACES


def tell_system_event(event: ParticleEvent, known: Message) -> Message:
    """`known` with what the event says."""
    word = event.data.strip() if isinstance(event.data, str) else ""
    if event.name == STATUS and word in {"online", "offline"}:
        return _tell_status(event, known, "online" if word == "online" else "offline")
    if event.name == FLASH and word.partition(" ")[0] in FLASHING:
        return _tell_flash(event, known, word)
    document = read_document(word.encode())[0] if word.startswith("{") else None
    if event.name in PLACES and isinstance(document, dict):
        return _tell_place(Item(document), known)
    payload = document if isinstance(document, dict) else {"data": event.data}
    # The cloud says it of the device, which need not be there.
    return replace(known, kind="event", payload=_add_version(event, payload), device_status="unheard")


def _tell_status(event: ParticleEvent, known: Message, status: Literal["online", "offline"]) -> Message:
    payload = _add_version(event, {"status": status})
    return tell_presence(replace(known, kind="state", topic="status", payload=payload), status)


def _tell_flash(event: ParticleEvent, known: Message, word: str) -> Message:
    payload = _add_version(
        event, {"state": FLASHING[word.partition(" ")[0]], "data": word, "event": event.name}
    )
    return replace(known, kind="event", topic=MAIN, payload=payload, device_status="unheard")


def _tell_place(said: Item, known: Message) -> Message:
    """The readings of `loc`, without a place where there was no fix."""
    place = said.item("loc")
    has_fix = place.fields.get("lck") != 0
    readings = {name: value for name, value in place.fields.items() if has_fix or name not in {"lat", "lon"}}
    observed_at, _ = choose_time((place.fields.get("time"), said.fields.get("time")), parse_time)
    told: dict[str, object] = {**readings, "trig": list(said.texts("trig"))}
    return replace(known, payload=told, observed_at=observed_at or known.observed_at)


def _add_version(event: ParticleEvent, payload: dict[str, object]) -> dict[str, object]:
    return payload | ({"firmware_version": event.firmware_version} if event.firmware_version else {})
