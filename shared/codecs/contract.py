"""What goes into a codec and what comes out of it, for every kind alike; and the two errors of this room."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal, NamedTuple

from shared.runtime.errors import FieldError, InvalidConfig, Problem

KINDS = ("javascript", "jmespath", "cayenne_lpp", "senml", "cbor", "msgpack", "protobuf", "sparkplug_b")

SOURCE_LIMIT = 262_144
"""Bytes of a source; public decoders have up to 100,000."""

BODY_LIMIT = 262_144
"""Bytes of one body that a codec is given."""


class Uplink(NamedTuple):
    """One body to decode. `received_at` is ISO 8601; `f_port` is LoRaWAN's, `topic` MQTT's or the path it came to."""

    body: bytes
    f_port: int | None = None
    topic: str | None = None
    received_at: str | None = None


class ToEncode(NamedTuple):
    """What a device is to be told: a command's payload and name, with the port or topic that it goes to."""

    data: Any
    f_port: int | None = None
    name: str | None = None
    topic: str | None = None


class Downlink(NamedTuple):
    """A body for a device, with the port or topic it belongs to where the codec says so."""

    body: bytes
    f_port: int | None = None
    topic: str | None = None
    warnings: tuple[str, ...] = ()


class Encoded(NamedTuple):
    """A body for a receiver of events, and its media type."""

    body: bytes
    content_type: str


class DecodedMessage(NamedTuple):
    """One message of a body. What the codec did not say is None: then whoever received the body knows better.

    `payload` is JSON that Postgres takes. `device` is the id the outside uses; `time` is ISO 8601 or unix time, as the
    codec gave it.
    """

    payload: Any
    device: str | None = None
    time: str | float | None = None
    kind: Literal["telemetry", "state", "event", "log"] | None = None
    event_id: str | None = None
    status: Literal["online", "offline"] | None = None


class Decoded(NamedTuple):
    """What one body says. With `errors` there are no messages: the body is to be kept raw, with the first as reason.

    `data` is what the decoder returned, as JSON; `normalized` what its normalizeUplink made of it. `downlinks` are to
    be published in answer (Sparkplug's request for a rebirth).
    """

    data: Any = None
    messages: tuple[DecodedMessage, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    normalized: Any = None
    downlinks: tuple[Downlink, ...] = ()
    microseconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the body was decoded."""
        return not self.errors


class SourceRefused(InvalidConfig):
    """The source does not compile; `line` and `column` count from 1, and are None where there is no place to name."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        place = f" (line {line}, column {column})" if line else ""
        super().__init__(
            f"The source is not valid: {reason}{place}", errors=[FieldError("source", reason + place)]
        )
        self.reason, self.line, self.column = reason, line, column


class CodecFailed(Problem):
    """The codec could not make a body of this."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "codec_failed"
    final = False  # it can be mended


class EncoderAbsent(CodecFailed):
    """The codec only decodes."""
