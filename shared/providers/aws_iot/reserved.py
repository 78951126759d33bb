"""What AWS itself says on topics of its own that rules may select from: comings and goings, shadows, jobs.

Source: AWS IoT's documentation of reserved topics and lifecycle events. Those come in any order: which is the later
is told by the moment that AWS saw them, for their version number begins anew now and then.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal, NamedTuple

from shared.provider import Item, Kind, Message, choose_time, parse_time, read_document, tell_presence

_PRESENCE = re.compile(r"\$aws/events/presence/(connected|disconnected)/(.+)")
_THING = re.compile(r"\$aws/things/([^/]+)/(shadow|jobs)/.+")
_TAKEN_OVER = "DUPLICATE_CLIENTID"
"""Why a connection ends whose client has opened another: it has not gone."""

_STATUS: dict[str, Literal["online", "offline"]] = {"connected": "online", "disconnected": "offline"}


_TOLD = re.compile(
    r"\$aws/(events/presence|things/[^/]+/(shadow/.*(accepted|rejected|delta|documents)$|jobs/(.*(accepted|rejected)|notify(-next)?)$))"
)
"""Topics on which AWS alone speaks."""


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


def name_told(topic: str, body: bytes) -> str | None:
    """The event id of what AWS says with its own moment, which it says once: None where that is not known."""
    if not _TOLD.match(topic) or Item(read_document(body)[0]).number("timestamp") is None:
        return None
    return f"aws:{hashlib.sha256(topic.encode() + bytes(1) + body).hexdigest()}"


def read_reserved(reserved: Reserved, topic: str, body: bytes, event_id: str, at: object = None) -> Message:
    """The message, with the moment that AWS saw it: what it says itself, else when the rule did (`at`)."""
    value, remark, error = read_document(body)
    if error:
        return Message.undecoded(body, error, event_id=event_id, device=reserved.device, topic=topic)
    said = Item(value)
    own = said.fields.get("timestamp") if reserved.kind == "state" else None
    message = Message(
        event_id,
        reserved.device,
        reserved.kind,
        topic,
        value,
        observed_at=choose_time((own, at), parse_time)[0],
        device_status="unheard",
        remark=remark,
    )
    if reserved.status == "unheard" or said.text("disconnectReason") == _TAKEN_OVER:
        return message
    return tell_presence(message, reserved.status)
