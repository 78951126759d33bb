"""Decoding once more what is stored: frames of the schema registry are opened first, as when it came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.provider import Message, StoredBody
from shared.providers.kafka.registry import Opened

if TYPE_CHECKING:
    from shared.providers.kafka import Kafka

Decode = Callable[[Sequence[StoredBody]], list[list[Message]]]


def decode_stored(kafka: Kafka, stored: Sequence[StoredBody], decode: Decode) -> list[list[Message]]:
    """The messages in each body. Errors: OutsideError where the registry does not answer."""
    registry = kafka.read_plan.registry
    opened: list[StoredBody] = []
    refused: dict[int, Message] = {}
    for place, each in enumerate(stored):
        body, reason, _ = registry.open_body(each.body, ()) if registry else Opened(each.body)
        if reason is not None:
            refused[place] = Message.undecoded(
                each.body, reason, event_id=each.event_id, device=each.device, topic=each.topic
            )
        opened.append(each._replace(body=body))
    decoded = decode(opened)
    return [
        [each.complete(message) for message in ([refused[place]] if place in refused else messages)]
        for place, (each, messages) in enumerate(zip(stored, decoded, strict=True))
    ]
