"""The decoder: one body at a time into one message, on the hot path.

What a topic says (device, status or not, our own echo) is worked out once per topic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

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
from shared.provider.decoding.storable import cut_excerpt, find_trouble
from shared.provider.decoding.times import TimestampFormat, parse_time
from shared.provider.decoding.topics import DEVICE_LIMIT, TopicFacts, TopicRules
from shared.provider.messages import MESSAGE_LIMIT, JsonObject, Message

PayloadFormat = Literal["standard", "vmark", "custom"]
Status = Literal["online", "offline"]

EVENT_ID_BYTES = 2_000
"""The ledger's index holds no more in a row."""

STATUS_BYTES = 64
TOPICS_REMEMBERED = 32_768
CLAIMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one integration's devices write.

    Paths are dotted, a number picks from a list. `timestamp_pattern` is for strptime.
    """

    payload_format: PayloadFormat = "standard"
    status_online: str = "online"
    status_offline: str = "offline"
    device_id_path: str = "device"
    telemetry_path: str = "data"
    timestamp_path: str = "timestamp"
    timestamp_format: TimestampFormat = "iso8601"
    timestamp_pattern: str = ""
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
        self._find_facts = lru_cache(TOPICS_REMEMBERED)(self._read_topic)
        self._statuses: dict[str, Status] = {
            "connected": "online",
            "disconnected": "offline",
            dialect.status_online.lower(): "online",
            dialect.status_offline.lower(): "offline",
        }
        self._claims: set[tuple[str, str]] = set()
        self._told: list[str] = []

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message in `body`, or None for what is not a device's word (our own echo, a vmark reply).

        What can't be decoded keeps `raw` and says why in `error`. `event_id` is used unless the dialect names
        where the publisher's own id is.
        """
        facts = self._find_facts(topic)
        if facts.ignored:
            return None
        if len(body) > MESSAGE_LIMIT:
            return self.refuse(topic, body, len(body), event_id)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return self._keep_text(facts, body, event_id, str(error))
        trouble = find_trouble(document, body)
        if trouble:
            return _keep_raw(facts, body, event_id, trouble)
        if isinstance(document, dict):
            return self._keep_object(facts, document, body, event_id)
        return self._keep_value(facts, document, body, event_id)

    def refuse(self, topic: str, excerpt: bytes, size: int, event_id: str) -> Message | None:
        """The message that stands for a body of `size` bytes, too large to keep; `excerpt` is its beginning."""
        facts = self._find_facts(topic)
        reason = f"The body has {size:,} bytes; at most {MESSAGE_LIMIT:,} are kept. Its beginning is in raw."
        return None if facts.ignored else _keep_raw(facts, cut_excerpt(excerpt), event_id, reason)

    def take_notes(self) -> list[str]:
        """What an admin should know of the messages since the last call: devices that differ from their topic."""
        told, self._told = self._told, []
        return told

    def _keep_object(
        self, facts: TopicFacts, document: JsonObject, body: bytes, event_id: str
    ) -> Message | None:
        if self._read is read_vmark and is_vmark_reply(document):
            return None
        claimed, kind, payload, when, error = self._read(document)
        device = self._choose_device(facts, claimed)
        observed_at = None
        if when is not None:
            try:
                observed_at = parse_time(when, self._time_format, self._dialect.timestamp_pattern)
            except ValueError as problem:
                error = error or str(problem)
        status = self._find_status(facts, document)
        if self._dialect.event_id_path:
            event_id = self._find_event_id(document, device, event_id)
        return Message(
            event_id,
            device,
            "state" if status and kind == "event" else kind,
            facts.topic,
            payload,
            None if payload is document or payload == document else body.decode(),
            None,
            observed_at,
            error,
            status,
        )

    def _choose_device(self, facts: TopicFacts, claimed: Any) -> str | None:
        device = _as_device(claimed)
        if device is None:
            return facts.device
        if facts.device is not None and device != facts.device:
            self._note_claim(facts.device, device)
        return device

    def _find_status(self, facts: TopicFacts, document: JsonObject) -> Status | None:
        value = document.get("status")
        if value is None and facts.is_status:
            value = document.get("state", document.get("online"))
        if value is None:
            return None
        if isinstance(value, bool):
            return "online" if value else "offline"
        return self._statuses.get(value.strip().lower()) if isinstance(value, str) else None

    def _find_event_id(self, document: JsonObject, device: str | None, event_id: str) -> str:
        own = find_path(document, self._dialect.event_id_path)
        if not isinstance(own, str | int) or isinstance(own, bool) or own == "":
            return event_id
        named = f"{device or ''}:{own}"
        return named if len(named.encode()) <= EVENT_ID_BYTES else event_id

    def _keep_value(self, facts: TopicFacts, document: Any, body: bytes, event_id: str) -> Message | None:
        if isinstance(document, str) and facts.is_status:
            return self._keep_text(
                facts, document.encode(), event_id, "the text of a status topic is not known"
            )
        if type(document) in NUMBERS:
            return Message(
                event_id, facts.device, "telemetry", facts.topic, {"value": document}, body.decode()
            )
        raw = "null" if document is None else None
        return Message(event_id, facts.device, "event", facts.topic, document, raw)

    def _keep_text(self, facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message:
        """Plain text is right on a status topic (a last will, say); elsewhere it is a body we can't decode."""
        word = body.decode(errors="replace").strip() if len(body) <= STATUS_BYTES else ""
        status = self._statuses.get(word.lower()) if facts.is_status else None
        if status:
            payload = {"status": word}
            return Message(event_id, facts.device, "state", facts.topic, payload, word, device_status=status)
        return _keep_raw(facts, body, event_id, f"Not JSON: {reason}." if body else "The body is empty.")

    def _read_custom(self, document: JsonObject) -> Reading:
        dialect = self._dialect
        return read_custom(document, dialect.device_id_path, dialect.telemetry_path, dialect.timestamp_path)

    def _read_topic(self, topic: str) -> TopicFacts:
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


def _as_device(value: Any) -> str | None:
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and 0 < len(text) <= DEVICE_LIMIT else None


def _keep_raw(facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message:
    return Message.undecoded(body, reason, event_id=event_id, device=facts.device, topic=facts.topic)
