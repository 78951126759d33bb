"""The fields that say how devices write: the dialect of their payloads, where things are in them, times and status."""

from __future__ import annotations

from datetime import UTC
from functools import cached_property
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from shared.provider.decode import Decoder
from shared.provider.decoding.dialect import Dialect, PayloadDecoder, PayloadFormat
from shared.provider.decoding.times import TimestampFormat
from shared.provider.decoding.topics import TopicRules
from shared.provider.messages import Message

_DIALECT = (
    *("payload_format", "device_id_path", "telemetry_path", "timestamp_path", "timestamp_format"),
    *("timestamp_pattern", "event_id_path", "status_online", "status_offline"),
)


class PayloadFields(Decoder):
    """For any provider whose devices choose what they write; what their topics say is `topic_rules`."""

    payload_format: PayloadFormat = "standard"
    device_id_path: str | None = None
    """Where a body names its device; empty: no body does, so that the topic alone counts."""
    telemetry_path: str | None = None
    timestamp_path: str | None = None
    timestamp_format: TimestampFormat | None = None
    timestamp_pattern: str | None = Field(None, validate_default=True)
    timestamp_timezone: str | None = None
    """The IANA zone, as Europe/Berlin, of times that say none; without it UTC."""
    event_id_path: str | None = None
    status_online: str = "online"
    status_offline: str = "offline"

    @field_validator("telemetry_path", "timestamp_path", "timestamp_format")
    @classmethod
    def _check_custom(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("payload_format", "custom") != "custom":
            raise ValueError("this is for payload_format custom only")
        return value

    @field_validator("timestamp_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        if (info.data.get("timestamp_format") == "custom") != bool(pattern):
            raise ValueError(
                "timestamp_format custom and timestamp_pattern (as %d.%m.%Y %H:%M:%S) belong together"
            )
        return pattern

    @field_validator("timestamp_timezone")
    @classmethod
    def _check_timezone(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (ValueError, KeyError, OSError):
            raise ValueError("write a zone of the IANA database, such as Europe/Berlin or UTC") from None

    @property
    def topic_rules(self) -> TopicRules:
        """What topics say; of a provider that has none of its own, only what any topic says."""
        return TopicRules()

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """As it is decoded when it comes, by today's fields."""
        return self._decoder.decode(topic, body, event_id)

    def make_decoder(self) -> PayloadDecoder:
        """A decoder for one thread."""
        given = {name: getattr(self, name) for name in _DIALECT}
        zone = ZoneInfo(self.timestamp_timezone) if self.timestamp_timezone else UTC
        dialect = Dialect(
            **{name: value for name, value in given.items() if value is not None}, timestamp_timezone=zone
        )
        return PayloadDecoder(dialect, self.topic_rules)

    @cached_property
    def _decoder(self) -> PayloadDecoder:
        return self.make_decoder()
