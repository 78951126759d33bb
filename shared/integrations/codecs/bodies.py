"""What callers of `/integrations/codecs` send, and what they get."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import Field, StrictBool, model_validator
from typing_extensions import TypedDict

from shared.codecs.contract import BODY_LIMIT, SOURCE_LIMIT, ToEncode, Uplink
from shared.integrations.bodies import Name
from shared.runtime.bodies import Body, Moment, Text, Uuid
from shared.runtime.numbers import Whole
from shared.runtime.web.paging import PageQuery

CodecKind = Literal[
    "javascript", "jmespath", "cayenne_lpp", "senml", "cbor", "msgpack", "protobuf", "sparkplug_b"
]
Source = Annotated[str, Field(max_length=SOURCE_LIMIT)]

MOST_BODIES = 100
"""Bodies of one test, and fixtures of one codec."""

TOPIC_LIMIT = 1_024
_FORMS = ("hex", "base64", "text")


class ExampleBody(Body):
    """One body as a device sends it, in exactly one of the three forms."""

    hex: str | None = Field(None, max_length=4 * BODY_LIMIT)
    """Hexadecimal, spaces allowed."""
    base64: str | None = Field(None, max_length=2 * BODY_LIMIT)
    text: str | None = Field(None, max_length=BODY_LIMIT)
    f_port: Whole | None = Field(None, ge=0, le=255)
    """LoRaWAN's port."""
    topic: Text | None = Field(None, max_length=TOPIC_LIMIT)
    """The topic or path it comes to."""

    @model_validator(mode="after")
    def _check_forms(self) -> ExampleBody:
        if sum(getattr(self, form) is not None for form in _FORMS) != 1:
            raise ValueError(f"give the body in exactly one of: {', '.join(_FORMS)}")
        self.read()
        return self

    def read(self) -> bytes:
        """The bytes; ValueError says which form is not written as it has to be."""
        try:
            if self.hex is not None:
                return bytes.fromhex(self.hex)
            if self.base64 is not None:
                return base64.b64decode(self.base64, validate=True)
        except (ValueError, binascii.Error):
            form = "hex" if self.hex is not None else "base64"
            raise ValueError(f"{form} is not written in {form}; send text as text") from None
        return (self.text or "").encode(errors="replace")

    def describe(self) -> Uplink:
        """What a codec is given, as if it had come just now."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Uplink(self.read(), self.f_port, self.topic, now)


class Fixture(ExampleBody):
    """A body with what it has to become: `data`, `messages`, or, where neither is given, anything without errors."""

    name: Text | None = Field(None, max_length=200)
    data: Any = None
    """What the decoder has to return."""
    messages: list[dict[str, Any]] | None = Field(None, max_length=1_000)
    """The messages it has to make, each with what is given of it here."""


class ExampleCommand(Body):
    """A command as it would be sent: what becomes of its payload is tried."""

    data: Any
    """Its payload."""
    name: Text | None = Field(None, max_length=200)
    f_port: Whole | None = Field(None, ge=0, le=255)
    """LoRaWAN's port."""
    topic: Text | None = Field(None, max_length=TOPIC_LIMIT)
    """The topic it goes to."""

    def describe(self) -> ToEncode:
        """What a codec is given."""
        return ToEncode(self.data, self.f_port, self.name, self.topic)


class CodecTrial(Body):
    """The body of POST /integrations/codecs/test: bodies to decode, commands and events to encode."""

    organization_id: uuid.UUID
    kind: CodecKind
    source: Source = ""
    bodies: list[ExampleBody] = Field([], max_length=MOST_BODIES)
    commands: list[ExampleCommand] = Field([], max_length=MOST_BODIES)
    """What encodeDownlink makes of them, as for devices."""
    events: list[dict[str, Any]] = Field([], max_length=MOST_BODIES)
    """What encode makes of them, as for webhooks."""

    @model_validator(mode="after")
    def _check_any(self) -> CodecTrial:
        if not (self.bodies or self.commands or self.events):
            raise ValueError("give something to try: bodies, commands or events")
        return self


class NewCodec(Body):
    """The body of POST /integrations/codecs."""

    organization_id: uuid.UUID
    name: Name
    kind: CodecKind
    source: Source = ""
    """JavaScript, a JMESPath expression or what its kind takes: docs/codecs.md."""
    fixtures: list[Fixture] = Field([], max_length=MOST_BODIES)
    """Bodies that this and every later source is tried on."""
    force: StrictBool = False
    """Save it although a fixture breaks."""


class ChangedCodec(Body):
    """The body of PATCH: an absent field stays; `fixtures` are replaced as a whole."""

    null_is_absent: ClassVar[bool] = False

    name: Name = ""
    kind: CodecKind = "javascript"
    source: Source = ""
    fixtures: list[Fixture] = Field([], max_length=MOST_BODIES)
    force: StrictBool = False
    """Save it although a fixture breaks."""


class CodecFilters(PageQuery):
    """Which codecs are listed."""

    organization_id: uuid.UUID | None = None
    """Only this organization's."""
    kind: CodecKind | None = None
    """Only of this kind."""


class ListedCodec(TypedDict):
    """One codec without its source."""

    id: Uuid
    organization_id: Uuid
    name: str
    kind: CodecKind
    version: int
    created_at: Moment
    created_by: Uuid | None
    updated_at: Moment


class CodecRow(ListedCodec):
    """One codec as its members may read it."""

    source: str
    fixtures: list[dict[str, object]]


OneCodec = TypedDict("OneCodec", {"codec": CodecRow})
CodecPage = TypedDict("CodecPage", {"codecs": list[ListedCodec], "next_cursor": str | None})


class ShownMessage(TypedDict):
    """One message of a body; what the codec did not say is absent."""

    payload: object
    device: NotRequired[str]
    time: NotRequired[str | float]
    kind: NotRequired[str]
    event_id: NotRequired[str]
    status: NotRequired[str]


class TrialResult(TypedDict):
    """What one body became: `data` is what the decoder returned, `messages` what would be stored, `us` microseconds."""

    ok: bool
    data: object
    messages: list[ShownMessage]
    warnings: list[str]
    errors: list[str]
    us: float


class EncodedCommand(TypedDict):
    """The body for a device that one command became."""

    ok: bool
    hex: str
    f_port: int | None
    warnings: list[str]
    errors: list[str]


class EncodedEvent(TypedDict):
    """The body for a receiver that one event became; `text` where it is text."""

    ok: bool
    hex: str
    text: str | None
    content_type: str
    errors: list[str]


class TrialResults(TypedDict):
    """What was tried, each in the order in which it was sent; `commands` and `events` where there are any."""

    results: list[TrialResult]
    commands: NotRequired[list[EncodedCommand]]
    events: NotRequired[list[EncodedEvent]]
