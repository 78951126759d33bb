"""What AWS itself says on topics of its own that rules may select from: comings and goings, shadows, jobs.

Source: AWS IoT's documentation of reserved topics and lifecycle events.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from shared.provider import Kind, Message, parse_time, read_document

_PRESENCE = re.compile(r"\$aws/events/presence/(connected|disconnected)/(.+)")
_THING = re.compile(r"\$aws/things/([^/]+)/(shadow|jobs)/.+")
_STATUS: dict[str, Literal["online", "offline"]] = {"connected": "online", "disconnected": "offline"}


class Reserved(NamedTuple):
    """A topic of AWS's own: which thing or client it is about, and what it says of it."""

    device: str
    kind: Kind
    status: Literal["online", "offline", "unheard"]


def find_reserved(topic: str) -> Reserved | None:
    """What the topic says; None for a topic of devices."""
    if not topic.startswith("$aws/"):
        return None
    if found := _PRESENCE.fullmatch(topic):
        return Reserved(found[2], "state", _STATUS[found[1]])
    if found := _THING.fullmatch(topic):
        return Reserved(found[1], "state" if found[2] == "shadow" else "event", "unheard")
    return None


def read_reserved(reserved: Reserved, topic: str, body: bytes, event_id: str) -> Message:
    """The message; of comings and goings with the moment that AWS saw it."""
    value, remark, error = read_document(body)
    if error:
        return Message.undecoded(body, error, event_id=event_id, device=reserved.device, topic=topic)
    at = None
    if reserved.kind == "state" and isinstance(value, dict):
        try:
            at = parse_time(value.get("timestamp"))
        except ValueError:
            at = None
    return Message(
        event_id,
        reserved.device,
        reserved.kind,
        topic,
        value,
        observed_at=at,
        device_status=reserved.status,
        remark=remark,
    )
