"""What pipelines pushed, decoded once more from what is stored of it."""

from __future__ import annotations

from shared.provider import Message, StoredBody, decode_body, encode_raw

POLLED = "golioth-"
"""How the ids of what was asked for begin: logs, coming online, settings."""


def is_pushed(stored: StoredBody) -> bool:
    """Whether it is a body that a pipeline pushed."""
    return not stored.event_id.startswith(POLLED)


def read_stored(stored: StoredBody) -> list[Message]:
    """The message in a body, as JSON or, without a codec, nothing new."""
    body = decode_body("", stored.body)
    if body.payload is None:
        return []
    raw, raw_encoding = (None, None) if body.raw is None else encode_raw(body.raw)
    return [
        Message(
            stored.event_id,
            stored.device,
            "telemetry",
            stored.topic,
            body.payload,
            raw,
            raw_encoding,
            stored.observed_at,
            remark=body.remark,
        )
    ]
