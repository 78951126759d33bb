"""What a codec says of bodies, as messages: what it does not say is what the transport knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shared.codecs.codec import Codec
from shared.codecs.contract import Decoded, DecodedMessage, Downlink, Uplink
from shared.provider.decoding.names import name_own_event
from shared.provider.decoding.readers import NUMBERS, judge_kind
from shared.provider.decoding.times import choose_time, parse_time
from shared.provider.messages import Kind, Message, encode_raw

REASON_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class CodedBody:
    """One body for a codec; `known` is what there is to say of it without one: its id, device, topic, time.

    `kind` is the transport's own word for it, where it has one. `owner` is the device that has proven itself: it
    speaks for no other, whatever the codec says. Without `received_at` it has come just now.
    """

    body: bytes
    known: Message
    kind: Kind | None = None
    f_port: int | None = None
    received_at: str | None = None
    owner: str | None = None


def decode_bodies(codec: Codec, bodies: Sequence[CodedBody]) -> list[list[Message]]:
    """The messages in each body; one that can't be decoded is kept raw, with the reason. Errors: Unavailable."""
    return [messages for messages, _ in read_bodies(codec, bodies)]


def read_bodies(
    codec: Codec, bodies: Sequence[CodedBody]
) -> list[tuple[list[Message], tuple[Downlink, ...]]]:
    """The same, with what the codec asks to be sent in answer."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    uplinks = [Uplink(each.body, each.f_port, each.known.topic, each.received_at or now) for each in bodies]
    decoded = codec.decode(uplinks)
    return [
        (list(_make_messages(each, told)), told.downlinks) for each, told in zip(bodies, decoded, strict=True)
    ]


def keep_raw(coded: CodedBody, reason: str) -> Message:
    """What stands for a body that could not be decoded."""
    known = coded.known
    kept = Message.undecoded(
        coded.body,
        reason[:REASON_LIMIT],
        event_id=known.event_id,
        device=known.device,
        topic=known.topic,
    )
    return replace(kept, observed_at=known.observed_at, retained=known.retained, metadata=known.metadata)


def _make_messages(coded: CodedBody, told: Decoded) -> Iterator[Message]:
    if told.errors:
        yield keep_raw(coded, told.errors[0])
        return
    for number, event_id in enumerate(_name_all(coded, told.messages), start=1):
        yield _make_message(coded, told, number, event_id)


def _make_message(coded: CodedBody, told: Decoded, number: int, event_id: str) -> Message:
    """Message `number` of a body. The first keeps the body, the others say where it is."""
    known, said, count = coded.known, told.messages[number - 1], len(told.messages)
    raw, raw_encoding = encode_raw(coded.body) if number == 1 else (None, None)
    observed_at, doubt = choose_time((said.time,), parse_time)
    payload = _add_normalized(said.payload, told.normalized) if count == 1 else said.payload
    return Message(
        event_id,
        _find_device(coded, said),
        said.kind or coded.kind or _judge_kind(payload, said),
        known.topic,
        {"value": payload} if type(payload) in NUMBERS else payload,
        raw,
        raw_encoding,
        observed_at or known.observed_at,
        None,
        said.status,
        " ".join(filter(None, (*told.warnings, doubt)))[:REASON_LIMIT] or None,
        known.retained,
        _add_part(known, number, count),
    )


def _add_part(known: Message, number: int, count: int) -> Mapping[str, object] | None:
    part = {"body": known.event_id, "part": number, "parts": count} if count > 1 else {}
    return {**(known.metadata or {}), **part} or None


def _find_device(coded: CodedBody, said: DecodedMessage) -> str | None:
    return coded.owner or said.device or coded.known.device


def _add_normalized(payload: Any, normalized: Any) -> Any:
    """The data, with what normalizeUplink made of it beside its own names."""
    if normalized is None or not isinstance(payload, dict) or "normalized" in payload:
        return payload
    return {**payload, "normalized": normalized}


def _judge_kind(payload: Any, said: DecodedMessage) -> Kind:
    if said.status:
        return "state"
    if isinstance(payload, dict):
        return judge_kind(payload)
    return "telemetry" if type(payload) in NUMBERS else "event"


def _name_all(coded: CodedBody, messages: Sequence[DecodedMessage]) -> Iterator[str]:
    """An id for each, the same whenever the body comes again: the device's own, else by the body's and the place."""
    known, given = coded.known, set[str]()
    for number, said in enumerate(messages, start=1):
        by_place = known.event_id if number == 1 else f"{known.event_id}#{number}"
        own = said.event_id and name_own_event(_find_device(coded, said), said.event_id)
        event_id = own or by_place
        if event_id in given:
            event_id = by_place
        given.add(event_id)
        yield event_id
