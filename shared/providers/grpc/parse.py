"""Batches that gateways push: our own Publish, by Connect or gRPC-Web over HTTP/1.1, as protobuf or JSON.

See docs/grpc/ingest.proto.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.provider import (
    TOO_DEEP,
    CodedBody,
    Item,
    Message,
    NotSupported,
    OwnTopic,
    PushedRequest,
    TextReply,
    answer_rpc,
    choose_time,
    judge_kind,
    name_own_event,
    parse_time,
    read_bytes,
    write_json,
)
from shared.providers.grpc.batch import read_batch
from shared.providers.grpc.ingest import METHOD, SERVICE, load_classes

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

SAME_SECONDS = 60
"""Two equal readings without an id and a time of their own are one within so long."""

ID_LIMIT = 1_000
_OWN = ("id", "device", "time", "values", "payload", "raw")


def parse_batch(grpc: Grpc, request: PushedRequest, now: float | None = None) -> list[Message]:
    """The messages in a batch; what can't be read is kept as it came. NotSupported for another method than Publish."""
    if request.path.startswith(f"{SERVICE}/") and request.path != METHOD:
        raise NotSupported(f"There is only {METHOD}.")
    try:
        readings, deep = read_batch(request.body)
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
