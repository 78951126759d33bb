"""The payload dialects devices speak, turned into messages: `standard`, `vmark` and `custom`. No input raises.

A `Decoder` reads one body at a time on the hot path, so what a topic says (device, status or not, our own echo)
is worked out once per topic, and the costlier checks run only where a cheap look at the bytes calls for them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson

from shared.messages import MESSAGE_LIMIT, REFUSED_EXCERPT, Kind, Message, encode_raw

PayloadFormat = Literal["standard", "vmark", "custom"]
TimestampFormat = Literal["iso8601", "unix", "vmark", "custom"]
Status = Literal["online", "offline"]

KNOWN_READINGS = frozenset(
    [
        "temperature",
        "humidity",
        "pressure",
        "battery",
        "voltage",
        "current",
        "power",
        "rssi",
        "snr",
        "battery_level",
        "signal_strength",
    ]
)
TIME_FIELDS = frozenset(("timestamp", "ts", "time"))
DEVICE_FIELDS = ("device", "deviceId", "device_id", "id")
STATUS_LEVELS = frozenset(("status", "availability", "lwt"))
DEVICE_LIMIT = 512
DEPTH_LIMIT = 100
TOPICS_REMEMBERED = 32_768
CLAIMS_TOLD = 20

_EARLIEST = 946_684_800.0  # 2000-01-01: a device that says earlier has not set its clock
_AHEAD = 86_400.0
_MILLISECONDS_FROM = 100_000_000_000.0  # as seconds this is the year 5138, as milliseconds 1973
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class TopicFacts(NamedTuple):
    """What a topic says by itself: the device it names, whether it carries status, whether it is ignored."""

    topic: str
    device: str | None
    is_status: bool
    ignored: bool


class Reading(NamedTuple):
    """What a dialect found in a JSON object; `when` is the device's time as it came, None where absent."""

    device: Any
    kind: Kind
    payload: Any
    when: Any
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one integration's devices speak.

    `filters` are the subscriptions: the first `+` of the one that matches names the device. `own_filter` matches
    what we publish ourselves. Paths are dotted, a number picks from a list. `timestamp_pattern` is for strptime.
    """

    payload_format: PayloadFormat = "standard"
    filters: tuple[str, ...] = ()
    own_filter: str = ""
    status_topic: str = ""
    status_online: str = "online"
    status_offline: str = "offline"
    device_id_path: str = "device"
    telemetry_path: str = "data"
    timestamp_path: str = "timestamp"
    timestamp_format: TimestampFormat = "iso8601"
    timestamp_pattern: str = ""
    event_id_path: str = ""


def match_topic(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT subscription to `topic_filter` receives `topic` (MQTT 5, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in {"+", levels[position]}:
            return False
    return len(wanted) == len(levels)


def parse_time(value: Any, timestamp_format: str = "auto", pattern: str = "") -> str:
    """`value` as ISO 8601 in UTC with offset. ValueError, in words, where it is no time or an absurd one.

    `auto` takes ISO 8601 and unix time; unix time may be in seconds or milliseconds, as number or text.
    Without an offset UTC is meant.
    """
    try:
        moment = _read_moment(value, timestamp_format, pattern)
        seconds = moment.timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(
            f"The timestamp is not {_TIME_WORDS[timestamp_format]}; the time of arrival is used."
        ) from None
    if not _EARLIEST <= seconds <= time.time() + _AHEAD:
        raise ValueError(
            "The timestamp is before 2000 or more than a day ahead; the time of arrival is used."
        )
    return moment.isoformat()


_TIME_WORDS = {
    "auto": "ISO 8601 or unix time",
    "iso8601": "ISO 8601",
    "unix": "unix time",
    "vmark": "of the form YYYY-MM-DD_HH:MM:SS.mmm",
    "custom": "of the form that timestamp_pattern gives",
}


def _read_moment(value: Any, timestamp_format: str, pattern: str) -> datetime:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int | float) and timestamp_format in {"auto", "unix"}:
        return _read_unix(float(value))
    if not isinstance(value, str):
        raise TypeError
    if timestamp_format == "unix" or (timestamp_format == "auto" and value.replace(".", "", 1).isdecimal()):
        return _read_unix(float(value))
    if timestamp_format == "custom":
        return _as_utc(datetime.strptime(value, pattern))  # noqa: DTZ007 - _as_utc gives it its zone
    return _as_utc(
        datetime.fromisoformat(value.replace("_", "T", 1) if timestamp_format == "vmark" else value)
    )


def _read_unix(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return datetime.fromtimestamp(seconds, UTC)


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def find_path(document: Any, path: str) -> Any:
    """What is at the dotted `path` of a JSON document, None where there is nothing."""
    for name in path.split("."):
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def _as_device(value: Any) -> str | None:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and 0 < len(text) <= DEVICE_LIMIT else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_reading(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value) if value.strip().lower().lstrip("+-")[:1] in "0123456789." else None
        except ValueError:
            return None
    return value if _is_number(value) else None


def _read_standard(document: dict[str, Any]) -> Reading:
    device = next((document[name] for name in DEVICE_FIELDS if name in document), None)
    when = document.get("timestamp", document.get("ts"))
    known = {name: _as_reading(document[name]) for name in document if name in KNOWN_READINGS}
    payload = {name: value for name, value in known.items() if value is not None} or {
        name: value
        for name, value in document.items()
        if type(value) in {int, float} and name not in TIME_FIELDS and name not in DEVICE_FIELDS
    }
    if payload:
        return Reading(device, "telemetry", payload, when)
    return Reading(device, "state" if isinstance(document.get("status"), str) else "event", document, when)


def _read_vmark(document: dict[str, Any]) -> Reading:
    payload = document.get("paras", document.get("data"))
    if isinstance(payload, dict) and payload:
        kind: Kind = (
            "telemetry" if document.get("handle", "properties_report") == "properties_report" else "event"
        )
        return Reading(document.get("device"), kind, payload, document.get("time"))
    return Reading(document.get("device"), "event", document, document.get("time"))


def _is_vmark_reply(document: Any) -> bool:
    return isinstance(document, dict) and len(document) == 1 and "result" in document


def find_vmark_reply(topic: str, body: bytes) -> tuple[str, bytes] | None:
    """What to publish once a vmark message is stored, as (topic, body): a hub without its answer stops sending."""
    if b"properties_report" not in body:
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    is_report = isinstance(document, dict) and document.get("handle") == "properties_report"
    return (f"{topic}_reply", b'{"result":0}') if is_report else None


class Decoder:
    """Turns (topic, body) into messages for one integration. Not for sharing between threads."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._time_format: str = {"standard": "auto", "vmark": "vmark"}.get(
            dialect.payload_format, dialect.timestamp_format
        )
        readers: dict[str, Callable[[dict[str, Any]], Reading]] = {
            "standard": _read_standard,
            "vmark": _read_vmark,
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
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return self._keep_text(facts, body, event_id, str(error))
        if len(body) > MESSAGE_LIMIT:
            return self.refuse(topic, body, len(body), event_id)
        trouble = _find_trouble(document, body)
        if trouble:
            return _keep_raw(facts, body, event_id, trouble)
        if not isinstance(document, dict):
            return self._keep_value(facts, document, body, event_id)
        if self._dialect.payload_format == "vmark" and _is_vmark_reply(document):
            return None
        return self._build_message(facts, document, body, event_id)

    def refuse(self, topic: str, excerpt: bytes, size: int, event_id: str) -> Message | None:
        """The message that stands for a body of `size` bytes, too large to keep; `excerpt` is its beginning."""
        facts = self._find_facts(topic)
        reason = f"The body has {size:,} bytes; at most {MESSAGE_LIMIT:,} are kept. Its beginning is in raw."
        return None if facts.ignored else _keep_raw(facts, _cut_excerpt(excerpt), event_id, reason)

    def take_notes(self) -> list[str]:
        """What an admin should know of the messages since the last call: devices that differ from their topic."""
        told, self._told = self._told, []
        return told

    def _build_message(
        self, facts: TopicFacts, document: dict[str, Any], body: bytes, event_id: str
    ) -> Message:
        device, kind, payload, when, error = self._read(document)
        device = _as_device(device)
        if device is None:
            device = facts.device
        elif facts.device is not None and device != facts.device:
            self._note_claim(facts.device, device)
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

    def _find_status(self, facts: TopicFacts, document: Mapping[str, Any]) -> Status | None:
        value = document.get("status")
        if value is None and facts.is_status:
            value = document.get("state", document.get("online"))
        if isinstance(value, bool):
            return "online" if value else "offline"
        return self._statuses.get(value.strip().lower()) if isinstance(value, str) else None

    def _find_event_id(self, document: dict[str, Any], device: str | None, event_id: str) -> str:
        own = find_path(document, self._dialect.event_id_path)
        usable = (
            isinstance(own, str | int) and not isinstance(own, bool) and 0 < len(str(own)) <= DEVICE_LIMIT
        )
        return f"{device or ''}:{own}" if usable else event_id

    def _keep_value(self, facts: TopicFacts, document: Any, body: bytes, event_id: str) -> Message | None:
        if _is_number(document) and not facts.is_status:
            return Message(
                event_id, facts.device, "telemetry", facts.topic, {"value": document}, body.decode()
            )
        if isinstance(document, str):
            return (
                self._keep_text(facts, document.encode(), event_id, "")
                if facts.is_status
                else _keep_json(facts, document, event_id)
            )
        return _keep_json(facts, document, event_id)

    def _keep_text(self, facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message | None:
        """Plain text is right on a status topic (a last will, say); elsewhere it is a body we can't decode."""
        if len(body) > MESSAGE_LIMIT:
            return self.refuse(facts.topic, body, len(body), event_id)
        word = body[:64].decode(errors="replace").strip()
        status = self._statuses.get(word.lower()) if facts.is_status else None
        if status:
            return Message(
                event_id,
                facts.device,
                "state",
                facts.topic,
                {"status": word},
                body.decode(),
                device_status=status,
            )
        return _keep_raw(facts, body, event_id, f"Not JSON: {reason}." if body else "The body is empty.")

    def _read_custom(self, document: dict[str, Any]) -> Reading:
        dialect = self._dialect
        device, when = (
            find_path(document, dialect.device_id_path),
            find_path(document, dialect.timestamp_path),
        )
        payload = find_path(document, dialect.telemetry_path) if dialect.telemetry_path else document
        if isinstance(payload, dict) and payload:
            return Reading(device, "telemetry", payload, when)
        if payload is not None and not isinstance(payload, dict):
            return Reading(device, "telemetry", {"value": payload}, when)
        return Reading(
            device, "event", document, when, f"Nothing is at telemetry_path {dialect.telemetry_path!r}."
        )

    def _read_topic(self, topic: str) -> TopicFacts:
        dialect = self._dialect
        own_echo = bool(dialect.own_filter) and match_topic(dialect.own_filter, topic)
        levels = topic.split("/")
        is_status = (
            match_topic(dialect.status_topic, topic)
            if dialect.status_topic
            else levels[-1].lower() in STATUS_LEVELS
        )
        ignored = own_echo or (dialect.payload_format == "vmark" and topic.endswith("_reply"))
        return TopicFacts(
            topic.replace("\x00", "\ufffd"), self._find_device(topic, levels), is_status, ignored
        )

    def _find_device(self, topic: str, levels: list[str]) -> str | None:
        if "devices" in levels[:-1]:
            return _as_device(levels[levels.index("devices") + 1])
        for topic_filter in self._dialect.filters:
            wanted = topic_filter.split("/")
            if "+" in wanted and match_topic(topic_filter, topic):
                return _as_device(levels[wanted.index("+")])
        return None

    def _note_claim(self, named: str, claimed: str) -> None:
        if (named, claimed) in self._claims or len(self._claims) >= CLAIMS_TOLD:
            return
        self._claims.add((named, claimed))
        self._told.append(
            f"A message on the topic of device {named!r} says it is from {claimed!r}; it is kept as {claimed!r}."
        )


def _find_trouble(document: Any, body: bytes) -> str | None:
    if b"\\u0000" in body and _NUL.search(body):
        return "The JSON holds the character \\u0000, which the database can't store."
    if body.count(b"[") + body.count(b"{") > DEPTH_LIMIT and _measure_depth(document) > DEPTH_LIMIT:
        return f"The JSON is nested deeper than {DEPTH_LIMIT} levels."
    return None


def _measure_depth(document: Any) -> int:
    depth, level = 0, [document]
    while level and depth <= DEPTH_LIMIT:
        containers = [item for item in level if isinstance(item, dict | list)]
        depth += bool(containers)
        level = [
            child for item in containers for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _keep_json(facts: TopicFacts, document: Any, event_id: str) -> Message:
    raw = "null" if document is None else None
    return Message(event_id, facts.device, "event", facts.topic, document, raw)


def _keep_raw(facts: TopicFacts, body: bytes, event_id: str, reason: str) -> Message:
    raw, raw_encoding = encode_raw(body)
    return Message(event_id, facts.device, "event", facts.topic, None, raw, raw_encoding, None, reason)


def _cut_excerpt(body: bytes) -> bytes:
    excerpt = body[:REFUSED_EXCERPT]
    text = excerpt.decode(errors="ignore").encode()
    return text if len(excerpt) - len(text) < 4 else excerpt  # noqa: PLR2004 - a cut UTF-8 character's bytes
