"""What Golioth's API tells of devices when asked, as messages: the same thing told twice has the same event id."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from shared.provider import Message, encode_raw, find_trouble, parse_time

TOPIC_LIMIT = 1_024


def name_event(what: str, *parts: Any) -> str:
    """An id made of what happened: whoever asks again gets the same."""
    content = orjson.dumps([what, *parts], option=orjson.OPT_SORT_KEYS)
    return f"golioth-{what}-{hashlib.sha256(content).hexdigest()}"


def read_time(value: Any) -> str | None:
    """A moment as Golioth writes it, in ISO 8601; None for what is none, such as the year 1."""
    try:
        return parse_time(value)
    except ValueError:
        return None


def read_moment(value: Any) -> datetime | None:
    """The same as a datetime."""
    text = read_time(value)
    return datetime.fromisoformat(text) if text else None


def read_device(item: dict[str, Any]) -> str | None:
    """The device's id: the API's document says `deviceId`, its client reads `device_id`."""
    device = item.get("device_id") or item.get("deviceId")
    return device if isinstance(device, str) else None


def keep_storable(message: Message) -> Message:
    """`message`, or where Postgres can't hold its payload as JSON, what came as raw with the reason."""
    body = orjson.dumps(message.payload)
    trouble = find_trouble(message.payload, body)
    if trouble is None:
        return message
    raw, raw_encoding = encode_raw(body)
    return replace(
        message,
        kind="event",
        payload=None,
        raw=raw,
        raw_encoding=raw_encoding,
        error=trouble,
        device_status=None,
    )
