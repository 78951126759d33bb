"""The fields that say how devices write: the dialect of their payloads, where things are in them, times and status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from shared.provider.decode import Decoder, StoredBody
from shared.provider.decoding.dialect import Dialect, PayloadDecoder, PayloadFormat
from shared.provider.decoding.times import TimestampFormat
from shared.provider.decoding.topics import TopicRules
from shared.provider.form import Group, only_with
from shared.provider.messages import Message

_DIALECT = (
    *("payload_format", "device_id_path", "telemetry_path", "timestamp_path", "timestamp_format"),
    *("timestamp_pattern", "event_id_path", "status_online", "status_offline"),
)
_PLACES = (
    *("device_id_path", "telemetry_path", "timestamp_path", "timestamp_format", "timestamp_pattern"),
    *("timestamp_timezone", "event_id_path"),
)
_CUSTOM: dict[str, Any] = {"x-when": only_with(payload_format="custom")}
_LABELS: dict[str, Any] = {
    "standard": "JSON as it comes",
    "vmark": "V-Mark",
    "custom": "JSON of your own form",
}
_TIMES: dict[str, Any] = {
    "iso8601": "ISO 8601",
    "unix": "Unix time",
    "vmark": "V-Mark's",
    "custom": "By a pattern",
}

_SAMPLE = datetime(2026, 11, 29, 13, 14, 15, tzinfo=UTC)
PATH_LIMIT = 512
PATTERN_LIMIT = ZONE_LIMIT = 100

_NO_ZONES = ("posix", "right/", "localtime", "Factory")
"""Which some systems keep beside the zones: another count of seconds, or whatever the machine is set to."""


def check_path(path: str) -> str:
    """`path` without spaces around it, where it is names joined by full stops; ValueError says how to write it."""
    path = path.strip()
    if path.startswith(("$", "/", "@", "#/")) or re.search(r"[\[*]|\{\{", path):
        raise ValueError(
            "write names joined by full stops, as in data.items.0.id: without $, / and brackets, * and {{ }}"
        )
    if len(path) > PATH_LIMIT or not all(path.split(".")) or not path.isprintable():
        raise ValueError(
            f"expected names joined by full stops, as in data.items.0.id, {PATH_LIMIT} characters at most"
        )
    return path


def check_time_pattern(pattern: str) -> str:
    """`pattern` without spaces around it, where times written by it can be read; ValueError says how to write it."""
    pattern = pattern.strip()
    try:
        read = datetime.strptime(_SAMPLE.strftime(pattern), pattern)  # noqa: DTZ007 - of its date alone
        understood = (read.date(), read.hour in {0, _SAMPLE.hour}) == (
            _SAMPLE.date(),
            True,
        ) and "%Z" not in pattern
    except (ValueError, re.error):
        understood = False
    if not understood:
        raise ValueError(
            "write year, month and day with the codes of strptime: %d.%m.%Y %H:%M:%S reads 29.11.2026 13:14:15; "
            "%I is an hour of 12 and goes with %p, zones are read by %z"
        )
    return pattern


class PayloadFields(Decoder):
    """For any provider whose devices choose what they write; what their topics say is `topic_rules`."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Payload format", ("payload_format", *_PLACES)),
        Group("Status words", ("status_online", "status_offline")),
    )

    payload_format: PayloadFormat = Field("standard", json_schema_extra={"x-labels": _LABELS})
    """How devices write: whole JSON objects, V-Mark's reports, or JSON whose parts the paths below name."""
    device_id_path: str | None = Field(None, examples=["device.id"])
    """Where a body names its device; empty: no body does, so that the topic alone counts."""
    telemetry_path: str | None = Field(None, examples=["data"], json_schema_extra=_CUSTOM)
    """Where in a body the values are that are stored; left out, under data."""
    timestamp_path: str | None = Field(None, examples=["meta.time"], json_schema_extra=_CUSTOM)
    """Where a body says when it was measured; left out, under timestamp."""
    timestamp_format: TimestampFormat | None = Field(None, json_schema_extra=_CUSTOM | {"x-labels": _TIMES})
    """How that time is written; left out, as ISO 8601."""
    timestamp_pattern: Annotated[str, Field(max_length=PATTERN_LIMIT)] | None = Field(
        None,
        validate_default=True,
        examples=["%d.%m.%Y %H:%M:%S"],
        json_schema_extra={"x-when": only_with(payload_format="custom", timestamp_format="custom")},
    )
    """Year, month, day and time with the codes of strptime."""
    timestamp_timezone: Annotated[str, Field(max_length=ZONE_LIMIT)] | None = Field(
        None, examples=["Europe/Berlin"]
    )
    """The IANA zone, as Europe/Berlin, of times that say none; without it UTC."""
    event_id_path: str | None = Field(None, examples=["message_id"])
    """Where a body has an id of its own, by which a message that comes again is known; left out, by its content."""
    status_online: str = "online"
    """The word with which devices say that they are online."""
    status_offline: str = "offline"
    """The word with which devices, or their last will, say that they are offline."""

    @field_validator("telemetry_path", "timestamp_path", "timestamp_format")
    @classmethod
    def _check_custom(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("payload_format", "custom") != "custom":
            raise ValueError("this is for payload_format custom only")
        return value

    @field_validator("device_id_path", "telemetry_path", "timestamp_path", "event_id_path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        return path and check_path(path)

    @field_validator("timestamp_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        if (info.data.get("timestamp_format") == "custom") != bool(pattern):
            raise ValueError(
                "timestamp_format custom and timestamp_pattern (as %d.%m.%Y %H:%M:%S) belong together"
            )
        return pattern and check_time_pattern(pattern)

    @field_validator("status_online", "status_offline")
    @classmethod
    def _check_word(cls, word: str, info: ValidationInfo) -> str:
        word = word.strip()
        if not word:
            raise ValueError("write the word that devices send")
        if info.field_name == "status_offline" and word.lower() == info.data.get("status_online", "").lower():
            raise ValueError("status_online is the same word; devices need one for each")
        return word

    @field_validator("timestamp_timezone")
    @classmethod
    def _check_timezone(cls, name: str | None) -> str | None:
        try:
            zone = name and ZoneInfo(name.strip()).key
        except (ValueError, KeyError, OSError):
            zone = _NO_ZONES[0]
        if zone and zone.startswith(_NO_ZONES):
            raise ValueError("write a zone of the IANA database, such as Europe/Berlin or UTC")
        return zone

    @property
    def topic_rules(self) -> TopicRules:
        """What topics say; of a provider that has none of its own, only what any topic says."""
        return TopicRules()

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """As it is decoded when it comes, by today's fields."""
        decode = self._decoder.decode
        messages = (decode(each.topic or "", each.body, each.event_id) for each in stored)
        return [[message] if message else [] for message in messages]

    def make_decoder(self, rules: TopicRules | None = None, *, is_owned: bool = False) -> PayloadDecoder:
        """A decoder for one thread; with `rules` of its own. `is_owned`: no body may say which device it is from."""
        return PayloadDecoder(self.make_dialect(is_owned=is_owned), rules or self.topic_rules)

    def make_dialect(self, *, is_owned: bool = False) -> Dialect:
        """How devices write, for a decoder."""
        given = {name: getattr(self, name) for name in _DIALECT}
        if is_owned:
            given["device_id_path"] = ""
        zone = ZoneInfo(self.timestamp_timezone) if self.timestamp_timezone else UTC
        return Dialect(
            **{name: value for name, value in given.items() if value is not None}, timestamp_timezone=zone
        )

    @cached_property
    def _decoder(self) -> PayloadDecoder:
        return self.make_decoder()
