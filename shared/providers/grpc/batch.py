"""A batch as it is written: how it is compressed, framed and encoded.

Which of them a body is shows by how it begins, for a signature covers the body alone: JSON with a brace, a frame of
gRPC-Web with a zero, its base64 with an A, gzip with its mark, a batch with 0x0a, which may also be a line before JSON.
"""

from __future__ import annotations

import base64
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

from shared.provider import (
    TOO_DEEP,
    UNLIFTED,
    GrpcWebError,
    Lifted,
    find_depth,
    lift_deep,
    read_grpc_frames,
    read_json,
)
from shared.providers.grpc.ingest import load_classes, load_reader

MOST_BYTES = 1_048_576
"""Of a batch, once it is decompressed."""

MOST_READINGS = 4_000
MOST_TOKENS = 100_000
"""Looked at one by one, where something lies too deep: others' requests wait meanwhile."""

_GZIP = b"\x1f\x8b"
_TAG = b"\x0a"
"""With which a batch of protobuf begins: its first reading."""
_UNNAMED = 'It has no readings: a batch is {"readings": [...]}.'


class Batch(NamedTuple):
    """The readings, each as JSON; and beside them those that are nested too deep for that, with their texts."""

    readings: list[dict[str, Any]]
    deep: list[tuple[dict[str, Any], bytes]]


def read_batch(body: bytes) -> Batch:
    """What is in a batch; ValueError, in a sentence, where it is none."""
    for _ in range(3):
        if body.startswith(_GZIP):
            body = _decompress(body)
        elif body.startswith(b"A"):
            body = _decode_text(body)
        elif body[:1] in {b"\0", b"\1"}:
            body = _open_frame(body)
    if body.lstrip()[:1] not in {b"{", b"["}:
        return Batch(_check_count(_read_binary(body)), [])
    try:
        document, lifted = _read_text(body)
    except (ValueError, RecursionError):
        # A batch whose first reading has as many bytes as a bracket's code looks as if it began with one.
        if body[:1] == _TAG:
            return Batch(_check_count(_read_binary(body)), [])
        raise ValueError("The batch is no JSON.") from None
    readings = _check_count(_find_readings(document))
    if lifted is UNLIFTED:
        return Batch(readings, [])
    kept, deep = lifted.split(readings)
    if not kept:
        raise ValueError(TOO_DEEP)
    return Batch(kept, deep)


def _read_text(body: bytes) -> tuple[Any, Lifted]:
    """The JSON of a batch, without what lies too deep."""
    with suppress(ValueError):
        document = read_json(body)
        if not find_depth(document, body):
            return document, UNLIFTED
    lifted = lift_deep(body, MOST_TOKENS)
    return read_json(lifted.body), lifted


def _read_binary(body: bytes) -> list[dict[str, Any]]:
    try:
        document = load_reader().read(load_classes()["Batch"], body)
    except ValueError as error:
        raise ValueError(f"The batch can't be read: {error}.") from None
    readings: list[dict[str, Any]] = document.get("readings", [])
    return readings


def _find_readings(document: Any) -> list[dict[str, Any]]:
    readings = document.get("readings", []) if isinstance(document, dict) else None
    if not isinstance(readings, list) or not all(isinstance(each, dict) for each in readings):
        raise ValueError(_UNNAMED)
    return readings


def _check_count(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(readings) > MOST_READINGS:
        raise ValueError(f"The batch has {len(readings):,} readings; send at most {MOST_READINGS:,} at once.")
    return readings


def _decompress(body: bytes) -> bytes:
    opened = zlib.decompressobj(31)
    try:
        found = opened.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise ValueError("The batch is no gzip.") from None
    if len(found) > MOST_BYTES or not opened.eof:
        raise ValueError(f"The batch has more than {MOST_BYTES:,} bytes once decompressed, or is cut off.")
    return found


def _decode_text(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise ValueError("The batch is no base64, as application/grpc-web-text is.") from None


def _open_frame(body: bytes) -> bytes:
    """The one message of a request of gRPC-Web."""
    try:
        frames = list(read_grpc_frames(body))
    except GrpcWebError as error:
        raise ValueError(f"The batch has {error}.") from None
    messages = [content for flags, content in frames if flags in {0, 1}]
    if len(messages) != 1:
        raise ValueError(f"The request has {len(messages)} messages; Publish takes one.")
    return messages[0]
