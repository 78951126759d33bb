"""The items of what an API answers: each a body with a name, cut into batches, page after page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from shared.codecs.codec import Codec
from shared.provider.decoding.coded import CodedBody, decode_bodies
from shared.provider.decoding.readers import find_path
from shared.provider.messages import Message
from shared.provider.payload_fields import PayloadFields
from shared.runtime.errors import ProtocolFailed
from shared.runtime.exact_json import write_json

BATCH_ITEMS, BATCH_BYTES = 500, 2_000_000
KEY_LIMIT = 1_000
MOST_ITEMS = 10_000
"""Of one page, or one message of a stream."""

NamedBody = tuple[str, bytes]
"""An event id, and the body that has it."""


class Pages:
    """The pages that were read one after the other. One that repeats another has nothing behind it."""

    def __init__(self, *, is_empty_last: bool) -> None:
        self._is_empty_last = is_empty_last
        self._before: set[str] = set()
        self._met: set[int] = set()

    def is_last(self, names: set[str]) -> bool:
        """Whether nothing new can follow the page of these items; an empty one may name the next, as filters do."""
        if not names:
            return self._is_empty_last
        page = hash(frozenset(names))
        is_repeated = names <= self._before or page in self._met
        self._before = names
        self._met.add(page)
        return is_repeated


def find_items(document: Any, path: str | None, of: str = "page") -> list[Any]:
    """What is at `path` in a page, or what it is `of`; all of it without a path. ProtocolFailed for too many."""
    items = find_path(document, path) if path else document
    if items is None:
        return []
    items = items if isinstance(items, list) else [items]
    if len(items) > MOST_ITEMS:
        raise ProtocolFailed(f"A {of} has {len(items):,} items; ask for at most {MOST_ITEMS:,}.")
    return items


def name_item(item: Any, path: str | None, prefix: str) -> str:
    """The event id of an item: what is at `path` in it, else its content."""
    key = find_path(item, path) if path else None
    is_name = isinstance(key, str | int | float) and not isinstance(key, bool)
    if is_name and 0 < len(str(key)) <= KEY_LIMIT and "\0" not in str(key):
        return f"{prefix}:{key}"
    return f"{prefix}-content:{hashlib.sha256(write_item(item)).hexdigest()}"


def write_item(item: Any) -> bytes:
    """An item as the body that it is taken for; what is nested too deep for that keeps no other from being stored."""
    try:
        return write_json(item)
    except TypeError:
        pass
    try:
        return json.dumps(item, ensure_ascii=False).encode()
    except RecursionError:
        return b"An item that is nested too deeply to be kept."


def cut_bodies(bodies: Sequence[NamedBody]) -> Iterator[list[NamedBody]]:
    """`bodies` in parts of a batch each, at least one."""
    part: list[NamedBody] = []
    size = 0
    for event_id, body in bodies:
        if part and (len(part) >= BATCH_ITEMS or size + len(body) > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append((event_id, body))
        size += len(body)
    yield part


def decode_items(fields: PayloadFields, codec: Codec | None, bodies: Sequence[NamedBody]) -> list[Message]:
    """The messages in bodies, by a codec where there is one. Errors: Unavailable."""
    if codec is None:
        decoder = fields.make_decoder()
        decoded = [decoder.decode("", body, event_id) for event_id, body in bodies]
        return [message for message in decoded if message]
    coded = [CodedBody(body, Message(event_id)) for event_id, body in bodies]
    return [message for messages in decode_bodies(codec, coded) for message in messages]
