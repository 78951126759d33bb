"""Records as messages: which device one is from, when it was, what it says; and what headers say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from shared.provider import (
    MESSAGE_LIMIT,
    CodedBody,
    Message,
    choose_time,
    parse_time,
    read_traceparent,
    replace_nul,
)
from shared.providers.kafka.fetching import Partition
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.records import Record, Unreadable

DEVICE_LIMIT = 512
HEADER_LIMIT = 1_024
"""Characters of one header that is kept."""

MOST_ATTRIBUTES = 30
CLOUD_EVENTS = "ce_"
"""How the attributes of a CloudEvent begin in headers (Kafka protocol binding 1.0, binary mode)."""

SCHEMA = "schema_id"
OWN = frozenset({"traceparent", SCHEMA})
"""What stands in metadata under its own name; all else is of a CloudEvent."""

CONTENT_TYPE = "content-type"
Headers = Sequence[tuple[str, bytes | None]]


class RecordReader:
    """Reads the records of one session. What can't be decoded is a message too, kept as it came, with the reason."""

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan
        self._header = plan.device_header
        self._from_key, self._from_header = plan.device_from == "key", plan.device_from == "header"
        self._from_topic = plan.device_from == "topic"
        self._registry, self._is_coded = plan.registry, plan.open_codec is not None
        self._decode, self._is_path_first = plan.decoder.decode, plan.is_path_first

    def read(self, partition: Partition, record: Record) -> Message | CodedBody | None:
        """What `record` is to become; None for what this platform sent itself. Errors: OutsideError, of a registry."""
        event_id = f"{partition.prefix}{record.offset}"
        facts = read_headers(record.headers) if record.headers else None
        if facts and str(facts.get("source", "")).startswith(self._plan.echo):
            return None
        device = self._find_device(partition, record)
        if record.value is None:
            tombstone = Message(event_id, device, "state", partition.topic, metadata={"tombstone": True})
            return self._complete(tombstone, record, facts)
        body = record.value
        if self._registry is not None:
            body, reason, schema = self._registry.open_body(body, record.headers)
            facts = facts if schema is None else {**(facts or {}), SCHEMA: schema}
            if reason is not None:
                kept = Message.undecoded(
                    body[:MESSAGE_LIMIT], reason, event_id=event_id, device=device, topic=partition.topic
                )
                return self._complete(kept, record, facts)
        if self._is_coded:
            return self._prepare(Message(event_id, device, topic=partition.topic), body, record, facts)
        message = self._decode(partition.topic, body, event_id)
        if message is not None:
            if device is not None and not (self._is_path_first and message.device is not None):
                message.device = device
            if message.observed_at is None or facts:
                self._complete(message, record, facts)
        return message

    def keep(self, partition: Partition, unreadable: Unreadable) -> Message:
        """What stands for records that can't be read."""
        return Message.undecoded(
            unreadable.content[:MESSAGE_LIMIT],
            unreadable.reason,
            event_id=f"{partition.prefix}{unreadable.offset}",
            topic=partition.topic,
        )

    def _prepare(
        self, known: Message, body: bytes, record: Record, facts: _Facts
    ) -> Message | CodedBody | None:
        """What a codec is to be given of `body`, of which its id, device and topic are known."""
        prepared = self._plan.decoder.prepare(known.topic or "", body, known.event_id)
        if prepared is None or isinstance(prepared, Message):
            return prepared and self._complete(prepared, record, facts)
        return replace(prepared, known=self._complete(known, record, facts))

    def _find_device(self, partition: Partition, record: Record) -> str | None:
        if self._from_key:
            return _read_name(record.key)
        if self._from_topic:
            return partition.device
        if self._from_header:
            return next((_read_name(value) for name, value in record.headers if name == self._header), None)
        return None

    def _complete(self, message: Message, record: Record, facts: _Facts) -> Message:
        """The time and what the headers say, where the body says less."""
        if message.observed_at is None:
            said = facts.get("time") if facts else None
            stamped = record.timestamp / 1000 if record.timestamp > 0 else None
            message.observed_at = choose_time((said, stamped), parse_time)[0]
        if facts:
            metadata = {name: value for name, value in facts.items() if name in OWN}
            attributes = {name: value for name, value in facts.items() if name not in OWN}
            if attributes:
                metadata["cloudevents"] = attributes
            message.metadata = {**(message.metadata or {}), **metadata}
        return message


_Facts = Mapping[str, object] | None


def read_headers(headers: Headers) -> dict[str, object] | None:
    """The attributes of a CloudEvent, and the trace that a record belongs to; None where it has neither."""
    facts: dict[str, object] = {}
    is_event = any(name == "ce_specversion" for name, _ in headers)
    for name, value in headers[:MOST_ATTRIBUTES]:
        if value is None:
            continue
        if name == "traceparent" and (trace := read_traceparent(_read_text(value))):
            facts["traceparent"] = trace
        elif is_event and name.startswith(CLOUD_EVENTS):
            facts[replace_nul(name.removeprefix(CLOUD_EVENTS)[:HEADER_LIMIT])] = _read_text(value)
        elif is_event and name == CONTENT_TYPE:
            facts["datacontenttype"] = _read_text(value)
    return facts or None


def _read_text(value: bytes) -> str:
    return replace_nul(value[:HEADER_LIMIT].decode(errors="replace"))


def _read_name(value: bytes | None) -> str | None:
    """A device's id in a key or header; None for what is no text, or too long to be one."""
    # What is too long is not remembered either: a key may have megabytes.
    return _decode_name(value) if value and len(value) <= DEVICE_LIMIT else None


@lru_cache(32_768)
def _decode_name(value: bytes) -> str | None:
    try:
        name = value.decode()
    except UnicodeDecodeError:
        return None
    return name if name.isprintable() and name.strip() else None
