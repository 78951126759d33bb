"""Decoding once more what is stored: a message of the service by its descriptors, an item or a reading as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.provider import Deadline, Message, PushedRequest, StoredBody, find_items, read_json, write_item
from shared.providers.grpc.batch import read_batch
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.ingest import METHOD
from shared.providers.grpc.items import MESSAGE
from shared.providers.grpc.parse import parse_batch
from shared.providers.grpc.service import open_service
from shared.providers.grpc.values import BodyReader

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

REPLAY_SECONDS = 20.0
Decode = Callable[[Sequence[StoredBody]], list[list[Message]]]


def decode_stored(grpc: Grpc, stored: Sequence[StoredBody], decode: Decode) -> list[list[Message]]:
    """The messages in each body. Errors: OutsideError where the service has to be asked and does not answer."""
    replay = _Replay(grpc, decode, any(_is_of_service(grpc, each) for each in stored))
    return [[each.complete(message) for message in replay.read(each)] for each in stored]


class _Replay:
    def __init__(self, grpc: Grpc, decode: Decode, needs_descriptors: bool) -> None:  # noqa: FBT001 - one of three parts
        self._grpc = grpc
        self._decode = decode
        self._opened: tuple[BodyReader, Method] | None = None
        if needs_descriptors:
            plan = grpc.read_plan
            with open_service(grpc.service_plan, Deadline(REPLAY_SECONDS), [plan.method]) as service:
                method = service.find_method("method", plan.method)
                self._opened = (BodyReader(service.schema.pool), method)

    def read(self, stored: StoredBody) -> list[Message]:
        """What a body holds."""
        if stored.topic == METHOD and _is_batch(stored.body):
            return parse_batch(self._grpc, PushedRequest({}, stored.body))
        if self._opened is None or not _is_of_service(self._grpc, stored):
            (messages,) = self._decode([stored])
            return messages
        reader, method = self._opened
        try:
            document = reader.read(method.reply, stored.body)
        except ValueError as error:
            words = f"It can't be read: {error}."
            return [Message.undecoded(stored.body, words, event_id=stored.event_id, topic=stored.topic)]
        bodies = [write_item(item) for item in find_items(document, self._grpc.read_plan.items_path, MESSAGE)]
        names = [
            stored.event_id if number == 1 else f"{stored.event_id}#{number}"
            for number in range(1, len(bodies) + 1)
        ]
        items = [stored._replace(body=body, event_id=name) for body, name in zip(bodies, names, strict=True)]
        return [message for messages in self._decode(items) for message in messages]


def _is_of_service(grpc: Grpc, stored: StoredBody) -> bool:
    """Whether it is a message of the service as it came, which could not be read then."""
    return grpc.method is not None and stored.topic == grpc.method and not _is_json(stored.body)


def _is_json(body: bytes) -> bool:
    try:
        read_json(body)
    except (ValueError, RecursionError):
        return False
    return True


def _is_batch(body: bytes) -> bool:
    try:
        return bool(read_batch(body).readings)
    except ValueError:
        return False
