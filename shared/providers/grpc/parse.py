"""Batches that gateways push: our own Publish, by Connect or gRPC-Web over HTTP/1.1, as protobuf or JSON.

Which of them a body is shows by how it begins, for a signature covers the body alone: JSON with a brace, a frame of
gRPC-Web with a zero, its base64 with an A, gzip with its mark, a batch with 0x0a, which may also be a line before JSON.
See docs/grpc/ingest.proto.
"""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.provider import (
    TOO_DEEP,
    UNLIFTED,
    CodedBody,
    GrpcWebError,
    Item,
    Lifted,
    Message,
    NotSupported,
    OwnTopic,
    PushedRequest,
    TextReply,
    answer_rpc,
    choose_time,
    find_depth,
    judge_kind,
    lift_deep,
    name_own_event,
    parse_time,
    read_bytes,
    read_grpc_frames,
    read_json,
    write_json,
)
from shared.providers.grpc.ingest import METHOD, SERVICE, load_classes, load_reader

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

SAME_SECONDS = 60
"""Two equal readings without an id and a time of their own are one within so long."""

MOST_BYTES = 1_048_576
"""Of a batch, once it is decompressed."""

MOST_READINGS = 4_000
MOST_TOKENS = 100_000
"""Looked at one by one, where something lies too deep: others' requests wait meanwhile."""

ID_LIMIT = 1_000
_GZIP = b"\x1f\x8b"
_TAG = b"\x0a"
"""With which a batch of protobuf begins: its first reading."""

_OWN = ("id", "device", "time", "values", "payload", "raw")
_UNNAMED = 'It has no readings: a batch is {"readings": [...]}.'


def parse_batch(grpc: Grpc, request: PushedRequest, now: float | None = None) -> list[Message]:
    """The messages in a batch; what can't be read is kept as it came. NotSupported for another method than Publish."""
    if request.path.startswith(f"{SERVICE}/") and request.path != METHOD:
        raise NotSupported(f"There is only {METHOD}.")
    try:
        readings, deep = _read_batch(request.body)
    except ValueError as error:
        digest = hashlib.sha256(request.body).hexdigest()
        return [Message.undecoded(request.body, f"{error}", event_id=f"push:{digest}", topic=METHOD)]
    kept = [_keep_deep(*each) for each in deep]
    named = list(_name_all(readings, time.time() if now is None else now))
    if grpc.codec:
        coded = [CodedBody(_find_body(each), _describe(name, each)) for name, each in named]
        return kept + [message for messages in grpc.decode_pushed(coded) for message in messages]
    return kept + [message for name, each in named for message in _read_reading(grpc, name, each)]


def _keep_deep(reading: dict[str, Any], body: bytes) -> Message:
    name = f"push:{hashlib.sha256(body).hexdigest()}"
    return Message.undecoded(body, TOO_DEEP, event_id=name, device=Item(reading).text("device"), topic=METHOD)


def answer_batch(request: PushedRequest, receipt: Mapping[str, int]) -> TextReply | None:
    """The Ack, as the request was written; None where that was in neither protocol."""
    ack = {name: receipt[name] for name in ("stored", "duplicates", "failed")}
    written = load_classes()["Ack"](**ack).SerializeToString()
    return answer_rpc(request.headers.get("content-type", ""), write_json(ack), written)


def read_batch(body: bytes) -> list[dict[str, Any]]:
    """The readings of a batch, each as JSON; ValueError, in a sentence, where it is none.

    Those that are nested too deep to be kept as JSON are left out.
    """
    return _read_batch(body)[0]


def _read_batch(body: bytes) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], bytes]]]:
    """The same, and beside them those that are nested too deep, with their texts."""
    for _ in range(3):
        if body.startswith(_GZIP):
            body = _decompress(body)
        elif body.startswith(b"A"):
            body = _decode_text(body)
        elif body[:1] in {b"\0", b"\1"}:
            body = _open_frame(body)
    if body.lstrip()[:1] not in {b"{", b"["}:
        return _check_count(_read_binary(body)), []
    try:
        document, lifted = _read_text(body)
    except (ValueError, RecursionError):
        # A batch whose first reading has as many bytes as a bracket's code looks as if it began with one.
        if body[:1] == _TAG:
            return _check_count(_read_binary(body)), []
        raise ValueError("The batch is no JSON.") from None
    readings = _check_count(_find_readings(document))
    if lifted is UNLIFTED:
        return readings, []
    kept, deep = lifted.split(readings)
    if not kept:
        raise ValueError(TOO_DEEP)
    return kept, deep


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


def _name_all(readings: list[dict[str, Any]], now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with an event id, the same when the batch comes again: its own, else by what it says."""
    given = Counter[str]()
    for reading in readings:
        item = Item(reading)
        own = item.text("id") if len(item.text("id") or "") <= ID_LIMIT else None
        name = name_own_event(item.text("device"), own) if own else None
        if name is None:
            minute = "" if item.text("time") else str(int(now // SAME_SECONDS))
            digest = hashlib.sha256(minute.encode() + b"\0" + write_json(reading)).hexdigest()
            given[digest] += 1
            name = f"{digest}:{given[digest]}"
        yield f"push:{name}", reading


def _describe(name: str, reading: dict[str, Any]) -> Message:
    """What a reading says beside its body."""
    item = Item(reading)
    observed_at, doubt = choose_time([item.text("time")], parse_time)
    return Message(name, item.text("device"), topic=METHOD, observed_at=observed_at, remark=doubt)


def _find_raw(reading: dict[str, Any]) -> bytes | None:
    """The device's bytes, where a reading has nothing else."""
    others = [
        name
        for name in reading
        if name not in {"id", "device", "time", "raw"} and reading[name] not in ("", None)
    ]
    return None if others else read_bytes(reading.get("raw")) or None


def _make_document(reading: dict[str, Any]) -> Any:
    """Its payload, or its values, or both side by side, with whatever else it has."""
    said = {
        name: value
        for name, value in reading.items()
        if name not in {"id", "device", "time"} and value not in ("", None)
    }
    (only,) = said.values() if len(said) == 1 and {*said} <= {"values", "payload"} else (None,)
    return only if isinstance(only, dict) else said


def _find_body(reading: dict[str, Any]) -> bytes:
    raw = _find_raw(reading)
    return write_json(_make_document(reading)) if raw is None else raw


def _read_reading(grpc: Grpc, name: str, reading: dict[str, Any]) -> list[Message]:
    known, raw = _describe(name, reading), _find_raw(reading)
    if raw is not None:
        decoder = grpc.make_decoder(OwnTopic(device=known.device))
        message = decoder.decode(METHOD, raw, name)
        if message is None:
            return []
        message.device = message.device or known.device
        message.observed_at = message.observed_at or known.observed_at
        return [message]
    known.payload = _make_document(reading)
    known.kind = judge_kind(known.payload)
    return [known]
