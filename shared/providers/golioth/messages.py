"""Messages made of what Golioth's API tells of devices when asked: the same thing told twice has the same event id."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

import orjson

from shared.provider import REPLACED, Message, Object, find_depth, parse_time, replace_nul, write_json

TOPIC_LIMIT = 1_024


def name_event(what: str, *parts: object) -> str:
    """An id made of what happened: whoever asks again gets the same."""
    content = write_json([what, *parts], option=orjson.OPT_SORT_KEYS)
    return f"golioth-{what}-{hashlib.sha256(content).hexdigest()}"


def name_topic(text: object) -> str | None:
    """`text` as a topic that the database can hold; None where it is none."""
    return replace_nul(text)[:TOPIC_LIMIT] or None if isinstance(text, str) else None


def read_time(value: object) -> str | None:
    """When a device said something, in ISO 8601; None for what is no time that can be believed, such as the year 1."""
    try:
        return parse_time(value)
    except ValueError:
        return None


def read_moment(value: object) -> datetime | None:
    """The same as a datetime."""
    text = read_time(value)
    return datetime.fromisoformat(text) if text else None


def read_device(item: Object) -> str | None:
    """The device's id: the API's document says `deviceId`, its client reads `device_id`."""
    named = (item.get("device_id"), item.get("deviceId"))
    return next((device for device in named if isinstance(device, str) and device), None)


def keep_storable(message: Message) -> Message:
    """`message`, mended where Postgres can't hold its payload as JSON, or as raw with the reason."""
    body, plain = write_json(message.payload), replace_nul(message.payload)
    trouble = find_depth(message.payload, body)
    if trouble:
        refused = Message.undecoded(
            body, trouble, event_id=message.event_id, device=message.device, topic=message.topic
        )
        return replace(refused, observed_at=message.observed_at)
    if plain == message.payload:
        return message
    return replace(message, payload=plain, raw=body.decode(), remark=REPLACED)
