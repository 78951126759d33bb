"""The decoder: one body at a time into one message, on the hot path.

What a topic says (device, status or not, our own echo) is worked out once per topic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any, Literal

from shared.provider.decoding.coded import CodedBody
from shared.provider.decoding.names import name_own_event
from shared.provider.decoding.readers import (
    NUMBERS,
    Reading,
    find_path,
    find_vmark_reply,
    is_vmark_reply,
    read_custom,
    read_standard,
    read_vmark,
)
from shared.provider.decoding.status import AROUND_WORDS, StatusWords, choose_kind
from shared.provider.decoding.storable import cut_excerpt, read_document
from shared.provider.decoding.times import TimestampFormat, choose_time, parse_time
from shared.provider.decoding.topics import DEVICE_LIMIT, TopicFacts, TopicRules
from shared.provider.messages import MESSAGE_LIMIT, JsonObject, Kind, Message, encode_raw

PayloadFormat = Literal["standard", "vmark", "custom"]

STATUS_BYTES = 64
TOPICS_REMEMBERED, LONGEST_REMEMBERED = 32_768, 256
"""By all decoders of the process, and how many characters of one: a topic may have 65,535 bytes."""

CLAIMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one integration's devices write.

    Paths are dotted, a number picks from a list. `device_id_path` None is the format's own rule, an empty one says
    that no body names its device. `timestamp_pattern` is for strptime, `timestamp_timezone` for times without a zone.
    """

    payload_format: PayloadFormat = "standard"
    status_online: str = "online"
    status_offline: str = "offline"
    device_id_path: str | None = None
    telemetry_path: str = "data"
    timestamp_path: str = "timestamp"
    timestamp_format: TimestampFormat = "iso8601"
    timestamp_pattern: str = ""
    timestamp_timezone: tzinfo = UTC
    event_id_path: str = ""


class PayloadDecoder:
    """Turns (topic, body) into messages for one integration. Not for sharing between threads.

    `find_reply`, where the dialect has answers, gives what to publish, as (topic, body), once a message is committed.
    """

    def __init__(self, dialect: Dialect, rules: TopicRules | None = None) -> None:
        self._dialect = dialect
        self._rules = rules or TopicRules()
        self.find_reply = find_vmark_reply if dialect.payload_format == "vmark" else None
        formats = {"standard": "auto", "vmark": "vmark", "custom": dialect.timestamp_format}
        self._time_format = formats[dialect.payload_format]
        readers: dict[str, Callable[[JsonObject], Reading]] = {
            "standard": read_standard,
            "vmark": read_vmark,
        }
        self._read = readers.get(dialect.payload_format, self._read_custom)
        self._words = StatusWords(dialect.status_online, dialect.status_offline)
        self._claims: set[tuple[str, str]] = set()
        self._told: list[str] = []

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message in `body`, or None for what is not a device's word (our own echo, a vmark reply).

        What can't be decoded keeps `raw` and says why in `error`. `event_id` is used unless the dialect names
        where the publisher's own id is.
        """
        facts = _find_facts(self, topic)
        if facts.ignored:
            return None
        if len(body) > MESSAGE_LIMIT:
            return self.refuse(topic, body, len(body), event_id)
        value, remark, error = read_document(body)
        if error:
            return self._keep_text(facts, body, event_id, error)
        if isinstance(value, dict):
            return self._keep_object(facts, value, body, event_id, remark)
        return self._keep_value(facts, value, body, event_id, remark)

    def prepare(self, topic: str, body: bytes, event_id: str) -> Message | CodedBody | None:
        """As `decode`, for who decodes with a codec: what it is to be given, but for words on topics of status."""
        facts = _find_facts(self, topic)
        if facts.ignored:
            return None
        if len(body) > MESSAGE_LIMIT:
            return self.refuse(topic, body, len(body), event_id)
        if facts.is_status and len(body) <= STATUS_BYTES:
            word = self.decode(topic, body, event_id)
            if word is not None and word.device_status:
                return word
        return CodedBody(body, Message(event_id, facts.device, topic=facts.topic))

    def refuse(self, topic: str, excerpt: bytes, size: int, event_id: str) -> Message | None:
        """The message that stands for a body of `size` bytes, too large to keep; `excerpt` is its beginning."""
        facts = _find_facts(self, topic)
        reason = f"The body has {size:,} bytes; at most {MESSAGE_LIMIT:,} are kept. Its beginning is in raw."
        return None if facts.ignored else _keep_raw(facts, cut_excerpt(excerpt), event_id, reason)

    def take_notes(self) -> list[str]:
        """What an admin should know of the messages since the last call: devices that differ from their topic."""
        told, self._told = self._told, []
        return told

    def _keep_object(
        self, facts: TopicFacts, document: JsonObject, body: bytes, event_id: str, remark: str | None
    ) -> Message | None:
        if self._read is read_vmark and is_vmark_reply(document):
            return None
        reading = self._read(document)
        device = self._choose_device(facts, document, reading)
        observed_at, doubt = choose_time(reading.times, self._read_time)
        status = self._words.find(document) if facts.is_status else None
        if self._dialect.event_id_path:
            event_id = self._find_event_id(document, device, event_id)
        payload, raw, raw_encoding = reading.payload, None, None
        if remark or (payload is not document and payload != document):
            raw, raw_encoding = encode_raw(body)
        return Message(
            event_id,
            device,
            choose_kind(reading.kind, document) if status else reading.kind,
            facts.topic,
            payload,
            raw,
            raw_encoding,
            observed_at,
            None if status else reading.error,
            status,
            f"{remark} {doubt}" if remark and doubt else remark or doubt,
        )

    def _choose_device(self, facts: TopicFacts, document: JsonObject, reading: Reading) -> str | None:
        """The first that the body names, else the topic's, else what may as well be the id of a component."""
        path, candidates, component = self._dialect.device_id_path, reading.devices, reading.component
        if path is not None:
            candidates, component = ((find_path(document, path),) if path else ()), None
        for claimed in candidates:
            device = None if claimed is None else _as_device(claimed)
            if device is not None:
                if facts.device is not None and device != facts.device:
                    self._note_claim(facts.device, device)
                return device
        return facts.device or _as_device(component)

    def _read_time(self, value: Any) -> str:
        dialect = self._dialect
        return parse_time(value, self._time_format, dialect.timestamp_pattern, dialect.timestamp_timezone)

    def _find_event_id(self, document: JsonObject, device: str | None, event_id: str) -> str:
        return name_own_event(device, find_path(document, self._dialect.event_id_path)) or event_id

    def _keep_value(
        self, facts: TopicFacts, document: Any, body: bytes, event_id: str, remark: str | None
    ) -> Message:
        is_number = type(document) in NUMBERS
        raw, raw_encoding = encode_raw(body) if remark or is_number or document is None else (None, None)
        status = self._words.read(document) if facts.is_status else None
        kind: Kind = "telemetry" if is_number else "event"
        payload = {"value": document} if is_number else document
        if status:
            kind, payload = "state", {"status": document}
        return Message(
            event_id,
            facts.device,
            kind,
            facts.topic,
            payload,
            raw,
            raw_encoding,
            device_status=status,
            remark=remark,
        )

    def _keep_text(self, facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message:
        """Plain text is right on a status topic (a last will, say); elsewhere it is a body we can't decode."""
        is_word = facts.is_status and len(body) <= STATUS_BYTES
        word = body.decode(errors="replace").strip(AROUND_WORDS) if is_word else ""
        status = self._words.read(word)
        if status is None:
            return _keep_raw(facts, body, event_id, reason)
        raw, raw_encoding = encode_raw(body)
        payload = {"status": word}
        return Message(
            event_id, facts.device, "state", facts.topic, payload, raw, raw_encoding, device_status=status
        )

    def _read_custom(self, document: JsonObject) -> Reading:
        dialect = self._dialect
        device_path = dialect.device_id_path or "device"
        return read_custom(document, device_path, dialect.telemetry_path, dialect.timestamp_path)

    def read_topic(self, topic: str) -> TopicFacts:
        """What the topic alone says."""
        facts = self._rules.read(topic)
        is_answer = self._dialect.payload_format == "vmark" and topic.endswith("_reply")
        return facts._replace(ignored=True) if is_answer else facts

    def _note_claim(self, named: str, claimed: str) -> None:
        if (named, claimed) in self._claims or len(self._claims) >= CLAIMS_TOLD:
            return
        self._claims.add((named, claimed))
        self._told.append(
            f"A message on the topic of device {named!r} says it is from {claimed!r}; it is kept as {claimed!r}."
        )


@lru_cache(TOPICS_REMEMBERED)
def _remember_facts(decoder: PayloadDecoder, topic: str) -> TopicFacts:
    return decoder.read_topic(topic)


def _find_facts(decoder: PayloadDecoder, topic: str) -> TopicFacts:
    return _remember_facts(decoder, topic) if len(topic) <= LONGEST_REMEMBERED else decoder.read_topic(topic)


def _as_device(value: Any) -> str | None:
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and text.strip() and len(text) <= DEVICE_LIMIT else None


def _keep_raw(facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message:
    return Message.undecoded(body, reason, event_id=event_id, device=facts.device, topic=facts.topic)
