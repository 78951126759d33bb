"""Batches of messages as an MQTT session hands them to the database: by column."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime

import orjson

from shared.messages.store import read_columns
from shared.provider import Message

BATCH = 500
_run, _numbers = secrets.token_hex(6), itertools.count()


def make_batch(devices: int, count: int = BATCH) -> bytes:
    """So many messages by column as JSON, none seen before, from so many devices in turns; bodies have 90 bytes."""
    messages = [_make_message(number, devices) for number in itertools.islice(_numbers, count)]
    return orjson.dumps(read_columns(messages))


def _make_message(number: int, devices: int) -> Message:
    device = f"device-{number % devices}"
    return Message(
        f"{_run}-{number:08x}",
        device,
        topic=f"fleet/{device}/telemetry",
        payload={
            "temperature": 20 + number % 500 / 100,
            "humidity": 48.2,
            "battery": 3.61,
            "status": "ok",
            "uptime": 86_400,
            "sequence": number % 10_000,
        },
        observed_at=datetime.now(UTC).isoformat(),
    )
