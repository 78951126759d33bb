"""Fields that name codecs of the integration's own organization, and how a provider comes by them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, PrivateAttr

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, EncoderAbsent
from shared.provider.base import Provider
from shared.provider.decode import Decoder, StoredBody
from shared.provider.decoding.coded import CodedBody, decode_bodies, keep_raw
from shared.provider.form import Group
from shared.provider.messages import Command, Event, Message, describe_event
from shared.runtime.errors import CommandRefused, FieldError, InvalidConfig
from shared.runtime.exact_json import write_json

FindCodec = Callable[[str, Mapping[str, Any]], Codec]
"""The codec of an id, with what it remembers; InvalidConfig without a field where the organization has none of it."""


def _check_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("expected the id of a codec; GET /integrations/codecs lists them") from None


CodecId = Annotated[
    str, Field(json_schema_extra={"format": "uuid", "x-lists": "codecs"}), AfterValidator(_check_id)
]


class CodecUser(Provider, defer_build=True):
    """A provider with fields that name codecs."""

    _find_codec: FindCodec | None = PrivateAttr(None)

    def use_codecs(self, find: FindCodec) -> None:
        """Told by whoever opens it, before it is used: where codecs are found."""
        self._find_codec = find

    def open_codec(self, field: str, state: Mapping[str, Any] | None = None) -> Codec:
        """The codec that `field` names, as it is now, for one thread. Errors: InvalidConfig, Unavailable."""
        return self.find_codec(field, getattr(self, field), state)

    def find_codec(self, field: str, codec_id: str, state: Mapping[str, Any] | None = None) -> Codec:
        """As `open_codec`, for one of several that a field names."""
        if self._find_codec is None:
            raise InvalidConfig(errors=[FieldError(field, "Codecs are of saved integrations alone.")])
        return self._find_codec(codec_id, state or {})


class CodecFields(CodecUser, Decoder, defer_build=True):
    """For a provider that messages come from: what it receives may be decoded by a codec."""

    groups: ClassVar[tuple[Group, ...]] = (Group("Codec", ("codec",)),)
    read_in_sql: ClassVar[frozenset[str]] = frozenset({"codec"})

    codec: CodecId | None = None
    """A codec of your organization that decodes what devices send, in place of everything else that says how."""

    @property
    def has_codecs(self) -> bool:
        """Whether what it receives may have to be decoded by a codec."""
        return self.codec is not None

    def check_codec(self) -> str:
        """A step of a connection test: whether the codec is there and compiles. InvalidConfig otherwise."""
        self.open_codec("codec").check()
        return "The codec compiles."

    def decode_pushed(self, bodies: Sequence[CodedBody]) -> list[list[Message]]:
        """The messages in bodies that were pushed, kept raw where there is no such codec. Errors: Unavailable."""
        try:
            codec = self.open_codec("codec")
        except InvalidConfig as missing:
            return [[keep_raw(each, missing.explain(""))] for each in bodies]
        return decode_bodies(codec, bodies)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """By the codec, where one is chosen."""
        if self.codec is None:
            return super().decode(stored)  # type: ignore[safe-super]
        return decode_bodies(self.open_codec("codec"), [self.describe_stored(each) for each in stored])

    def encode_command(self, command: Command, topic: str | None = None) -> bytes:
        """What a command's payload is as bytes: by the codec where it encodes, else as JSON.

        A JMESPath expression is for what comes alone. Errors: CommandRefused, InvalidConfig, Unavailable.
        """
        codec = self.open_codec("codec") if self.codec else None
        if codec is None or codec.kind == "jmespath":
            return write_json(command.payload)
        try:
            return codec.encode(command.payload, name=command.name, topic=topic).body
        except EncoderAbsent:
            return write_json(command.payload)
        except CodecFailed as failed:
            raise CommandRefused(f"The codec can't encode it: {failed.detail}") from None

    def describe_stored(self, stored: StoredBody) -> CodedBody:
        """What a codec is given of a body that was stored."""
        known = Message(stored.event_id, stored.device, topic=stored.topic, observed_at=stored.observed_at)
        return CodedBody(stored.body, known, received_at=stored.received_at)


class TransformFields(CodecUser, defer_build=True):
    """For a provider that events go out to over HTTP: a codec may make their bodies. Its `deliver` heeds `encoded`."""

    groups: ClassVar[tuple[Group, ...]] = (Group("Codec", ("transform",)),)
    read_in_sql: ClassVar[frozenset[str]] = frozenset({"transform"})

    transform: CodecId | None = None
    """A codec of your organization that makes each body: what its encode(event) returns."""

    def encode_events(self, events: Sequence[Event]) -> list[Event | CodecFailed]:
        """Each event with the body that the codec makes of it, or why not. Errors: InvalidConfig, Unavailable."""
        if self.transform is None:
            return list(events)
        encoded = self.open_codec("transform").encode_events([describe_event(event) for event in events])
        return [
            each if isinstance(each, CodecFailed) else replace(event, encoded=each)
            for event, each in zip(events, encoded, strict=True)
        ]
