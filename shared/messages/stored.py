"""Messages as they are stored, and decoding them again by the config of today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from typing_extensions import TypedDict

from shared.provider import Decoder, Message, StoredBody, decode_raw
from shared.runtime.bodies import Moment, Uuid
from shared.runtime.exact_json import write_json

MOST_MESSAGES = 4_000
"""Of one call: as many as `ingest_messages` takes."""


class StoredMessage(TypedDict):
    """A row of `failed_messages` or `stored_messages`: what came is in `raw`, or where that is null in `payload`."""

    id: Uuid
    received_at: Moment
    event_id: str
    topic: str | None
    device: str | None
    observed_at: Moment | None
    payload: Any
    raw: str | None
    raw_encoding: str | None


class DecodedRow(TypedDict):
    """What takes the place of the message with this id."""

    id: Uuid
    received_at: Moment
    messages: list[Message]


def decode_rows(decoder: Decoder, rows: Sequence[StoredMessage]) -> Iterator[DecodedRow]:
    """What each row comes to now; a row that is not decoded, or holds no message, is left out."""
    decoded = decoder.decode([_read_body(row) for row in rows])
    for row, messages in zip(rows, decoded, strict=True):
        if messages and all(message.error is None for message in messages):
            yield {"id": row["id"], "received_at": row["received_at"], "messages": messages}


def cut_parts(decoded: Iterable[DecodedRow]) -> Iterator[list[DecodedRow]]:
    """The same in parts of at most `MOST_MESSAGES` messages."""
    part: list[DecodedRow] = []
    count = 0
    for row in decoded:
        if part and count + len(row["messages"]) > MOST_MESSAGES:
            yield part
            part, count = [], 0
        part.append(row)
        count += len(row["messages"])
    if part:
        yield part


def _read_body(row: StoredMessage) -> StoredBody:
    raw = row["raw"]
    return StoredBody(
        write_json(row["payload"]) if raw is None else decode_raw(raw, row["raw_encoding"]),
        row["event_id"],
        row["topic"],
        row["device"],
        row["observed_at"],
        row["received_at"],
    )
