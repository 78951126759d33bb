"""What comes of one message of a service: its items, each as the body that a decoder or a codec is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.provider import (
    MESSAGE_LIMIT,
    REFUSED_EXCERPT,
    Codec,
    CodedBody,
    Message,
    OwnTopic,
    PayloadDecoder,
    ProtocolFailed,
    decode_bodies,
    find_path,
    write_json,
)

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

MOST_ITEMS = 10_000
"""Of one message."""

CURSOR_BYTES = 4_096
TOO_DEEP = b"An item that is nested too deeply to be kept."


def find_items(document: Any, path: str | None) -> list[Any]:
    """The items of a message as JSON; ProtocolFailed for too many."""
    items = find_path(document, path) if path else document
    if items is None:
        return []
    items = items if isinstance(items, list) else [items]
    if len(items) > MOST_ITEMS:
        raise ProtocolFailed(f"A message has {len(items):,} items; ask for at most {MOST_ITEMS:,}.")
    return items


def find_cursor(document: Any, items: Sequence[Any], path: str | None) -> Any:
    """What a message says to go on from: itself, else its last item; None where neither does.

    Zero says nothing either: it is what proto3 gives for a field that nobody has set, as in an empty page.

    Errors: ProtocolFailed where that is too large to be kept.
    """
    if not path:
        return None
    found = _leave_unset(find_path(document, path))
    if found is None and items:
        found = _leave_unset(find_path(items[-1], path))
    if found is None:
        return None
    if len(write_item(found)) > CURSOR_BYTES:
        raise ProtocolFailed(
            f"cursor_path finds more than {CURSOR_BYTES:,} bytes; a cursor has at most so many."
        )
    return found


def _leave_unset(cursor: Any) -> Any:
    return None if isinstance(cursor, str | int | float) and cursor in {"", 0} else cursor


def write_item(item: Any) -> bytes:
    """An item as a body; what is nested too deeply for that keeps no other from being stored."""
    try:
        return write_json(item)
    except TypeError:
        pass
    try:
        return json.dumps(item, ensure_ascii=False).encode()
    except RecursionError:
        return TOO_DEEP


def hash_parts(*parts: bytes) -> str:
    """A name for what consists of these."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


class ItemDecoder:
    """Makes messages of bodies, by a codec where there is one. For one thread. `topic` is the method."""

    def __init__(self, grpc: Grpc, topic: str, codec_state: dict[str, Any]) -> None:
        self._topic = topic
        self._decoder: PayloadDecoder = grpc.make_decoder(OwnTopic())
        self._codec: Codec | None = grpc.open_codec("codec", codec_state) if grpc.codec else None

    @property
    def codec_state(self) -> dict[str, Any]:
        """What the codec remembers."""
        return dict(self._codec.state) if self._codec else {}

    def decode(self, bodies: Sequence[tuple[str, bytes]]) -> list[Message]:
        """The messages in bodies, each under its event id. Errors: Unavailable, where no codec gets free."""
        if self._codec is None:
            decoded = [self._decoder.decode(self._topic, body, event_id) for event_id, body in bodies]
            return [message for message in decoded if message]
        coded = [CodedBody(body, Message(event_id, topic=self._topic)) for event_id, body in bodies]
        return [message for messages in decode_bodies(self._codec, coded) for message in messages]

    def keep(self, body: bytes, event_id: str, reason: str) -> Message:
        """What stands for a message of the service that can't be read."""
        if len(body) > MESSAGE_LIMIT:
            refused = self._decoder.refuse(self._topic, body[:REFUSED_EXCERPT], len(body), event_id)
            if refused is not None:
                return refused
        words = f"It can't be read: {reason}."
        return Message.undecoded(body[:MESSAGE_LIMIT], words, event_id=event_id, topic=self._topic)
