"""What AWS itself says on topics of its own that rules may select from: comings and goings, shadows, jobs.

Comings and goings may be told out of order, and twice. Their `versionNumber` counts a client's connections, a coming
and the going of the same connection having the same; it begins anew once a client was away for about an hour, or longer
than its session is kept. So the time says which of two is the later, and the number where a connection was taken over,
and the going of the old one is told, and was, after the coming of the new. Source: AWS IoT's documentation of reserved
topics and of lifecycle events.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from shared.provider import Item, Kind, Message, Presence, Report, parse_time, read_document

_PRESENCE = re.compile(r"\$aws/events/presence/(connected|disconnected)/(.+)")
_THING = re.compile(r"\$aws/things/([^/]+)/(shadow|jobs)/.+")
_STATUS: dict[str, Literal["online", "offline"]] = {"connected": "online", "disconnected": "offline"}

_TOLD = re.compile(
    r"\$aws/(events/presence|things/[^/]+/(shadow/.*(accepted|rejected|delta|documents)$|jobs/(.*(accepted|rejected)|notify(-next)?)$))"
)
"""Topics on which AWS alone speaks."""

ORDER_LENGTH = 15
"""Digits of a moment in milliseconds, for comparing as text."""


class Reserved(NamedTuple):
    """A topic of AWS's own: which thing or client it is about, and whether that came or went."""

    device: str
    kind: Kind
    status: Literal["online", "offline"] | None = None


def find_reserved(topic: str) -> Reserved | None:
    """What the topic says; None for a topic of devices."""
    if not topic.startswith("$aws/"):
        return None
    if found := _PRESENCE.fullmatch(topic):
        return Reserved(found[2], "state", _STATUS[found[1]])
    if found := _THING.fullmatch(topic):
        return Reserved(found[1], "state" if found[2] == "shadow" else "event")
    return None


def name_told(topic: str, body: bytes) -> str | None:
    """The event id of what AWS says with its own moment, which it says once: None where that is not known."""
    if not _TOLD.match(topic) or Item(read_document(body)[0]).number("timestamp") is None:
        return None
    return f"aws:{hashlib.sha256(topic.encode() + bytes(1) + body).hexdigest()}"


def read_reserved(reserved: Reserved, topic: str, body: bytes, event_id: str) -> Message:
    """The message; of comings and goings with the moment that AWS saw it, and in which order they are."""
    value, remark, error = read_document(body)
    if error:
        return Message.undecoded(body, error, event_id=event_id, device=reserved.device, topic=topic)
    at = _read_moment(value) if reserved.kind == "state" and isinstance(value, dict) else None
    presence = _find_presence(reserved, value, at) if isinstance(value, dict) else None
    return Message(
        event_id,
        reserved.device,
        reserved.kind,
        topic,
        value,
        observed_at=at,
        device_status="unheard" if presence else reserved.status or "unheard",
        remark=remark,
        report=Report(presence=presence) if presence else None,
    )


def _read_moment(value: Mapping[str, Any]) -> str | None:
    try:
        return parse_time(value.get("timestamp"))
    except ValueError:
        return None


def _find_presence(reserved: Reserved, value: Mapping[str, Any], at: str | None) -> Presence | None:
    """None where AWS does not say when it was: then it counts as it comes."""
    told = Item(value)
    moment = told.number("timestamp")
    if reserved.status is None or at is None or moment is None:
        return None
    order = f"{int(moment):0{ORDER_LENGTH}}{int(reserved.status == 'offline')}"
    return Presence(reserved.status, order, at, told.count("versionNumber"))
