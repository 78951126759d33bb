"""The trace that a message belongs to, kept in its metadata, so that what is made of it later belongs there too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from shared.provider import Message

TRACEPARENT = "traceparent"


def add_trace(messages: Sequence[Message], traceparent: str | None) -> Sequence[Message]:
    """`messages`, those that brought no trace of their own in that of `traceparent`, where there is one."""
    if traceparent is None:
        return messages
    return [
        message
        if message.metadata and TRACEPARENT in message.metadata
        else replace(message, metadata={**(message.metadata or {}), TRACEPARENT: traceparent})
        for message in messages
    ]


def list_traces(messages: Sequence[Message]) -> Iterator[str]:
    """The traces that messages brought, each once."""
    yield from dict.fromkeys(
        str(message.metadata[TRACEPARENT])
        for message in messages
        if message.metadata and TRACEPARENT in message.metadata
    )
