"""PUBLISH packets as they come, read from bytes that were received."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from shared.provider import MESSAGE_LIMIT, REFUSED_EXCERPT, read_traceparent

KEPT_TOPIC = 256
"""Bytes of the longest topic whose text is kept for the next message: a topic may have 65,535."""


TRACE_LENGTH = 55
_CONTINUED = 0x80
"""The bit of a length's byte that says that another follows."""

_TRACE = b"\x26\x00\x0btraceparent\x00" + bytes([TRACE_LENGTH])
LEAST_TRACED = len(_TRACE) + TRACE_LENGTH


class Publish(NamedTuple):
    """One PUBLISH as it came. `size` is that of the body, of which only the beginning is in `body` when too large."""

    topic: str
    body: bytes
    packet_id: int
    qos: int
    retain: bool
    duplicate: bool
    size: int
    trace: str | None = None
    """The user property traceparent of MQTT 5, where it is one."""


def read_publish(data: bytes, position: int, head: int, stop: int, *, has_properties: bool) -> Publish:
    """The packet from `position` until before `stop`, what follows its length beginning at `head`.

    IndexError or ValueError where it is none.
    """
    flags = data[position]
    start = head + 2 + (data[head] << 8 | data[head + 1])
    topic = _decode_topic(data[head + 2 : start])
    qos = flags >> 1 & 3
    packet_id = 0
    trace = None
    if qos:
        packet_id = data[start] << 8 | data[start + 1]
        start += 2
    if has_properties:
        begin, size = read_length(data, start - 1)
        start = begin + size
        trace = _find_trace(data[begin:start]) if size >= LEAST_TRACED else None
    size = stop - start
    if size < 0:
        raise ValueError
    body = data[start:stop] if size <= MESSAGE_LIMIT else data[start : start + REFUSED_EXCERPT]
    return Publish(topic, body, packet_id, qos, bool(flags & 1), bool(flags & 8), size, trace)


def read_length(data: bytes, position: int) -> tuple[int, int]:
    """Where what follows the length begins, and the length (MQTT's variable byte integer); (0, 0) if incomplete.

    IndexError where there is none, ValueError where it goes on after its fourth byte.
    """
    size = data[position + 1]
    if size < _CONTINUED:
        return position + 2, size
    size, shift = size & 0x7F, 7
    for index in range(position + 2, min(position + 5, len(data))):
        size |= (data[index] & 0x7F) << shift
        if data[index] < _CONTINUED:
            return index + 1, size
        shift += 7
    if shift == 28:  # noqa: PLR2004 - four bytes of seven bits
        raise ValueError
    return 0, 0


def _find_trace(properties: bytes) -> str | None:
    """The value of the user property (0x26) traceparent; of properties that only look so, it is no traceparent."""
    begin = properties.find(_TRACE)
    return (
        read_traceparent(properties[begin + len(_TRACE) :][:TRACE_LENGTH].decode("latin-1"))
        if begin >= 0
        else None
    )


def _decode_topic(topic: bytes) -> str:
    return _decode_short(topic) if len(topic) <= KEPT_TOPIC else topic.decode(errors="replace")


@lru_cache(32_768)
def _decode_short(topic: bytes) -> str:
    return topic.decode(errors="replace")
