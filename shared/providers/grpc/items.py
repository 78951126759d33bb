"""What comes of one message of a service: its items, each as the body that a decoder or a codec is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.provider import (
    MESSAGE_LIMIT,
    REFUSED_EXCERPT,
    Codec,
    CodedBody,
    Message,
    NamedBody,
    OwnTopic,
    PayloadDecoder,
    ProtocolFailed,
    decode_bodies,
    find_path,
    write_item,
)

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

CURSOR_BYTES = 4_096
MESSAGE = "message"
"""What items are of."""


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

    def decode(self, bodies: Sequence[NamedBody]) -> list[Message]:
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
