"""What all kinds but JavaScript share: a document read from a body, a mapping over it, one result."""

from __future__ import annotations

import json
import math
import struct
from typing import Any, NamedTuple

from shared.codecs.sandbox.mapping import Mapping
from shared.codecs.sandbox.program import Body, CodecError, write_json
from shared.codecs.sandbox.storable import write_storable

ENVELOPE = {"data", "messages", "warnings", "errors"}


class Parsed(NamedTuple):
    """What a body says; `messages` where the format itself tells devices or times apart."""

    document: Any
    messages: list[dict[str, Any]] | None = None
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    downlinks: tuple[dict[str, Any], ...] = ()


class Format:
    """A format of bodies. The source is a JMESPath mapping over what was read, or empty.

    A kind overrides `read`, which raises CodecError for what is no such body, and `write`, where it can be written.
    """

    label = "this format"
    media_type = "application/octet-stream"

    def __init__(self, source: str) -> None:
        self.state: dict[str, Any] = {}
        self.mapping = Mapping(source) if source.strip() else None

    def read(self, body: Body) -> Parsed:
        """The document in a body."""
        raise NotImplementedError

    def write(self, _data: Any, /) -> bytes:
        """A body that says what is given."""
        raise CodecError(f"Nothing can be encoded as {self.label}.")

    def describe(self) -> str:
        """Nothing but that it is valid."""
        return write_json({"functions": []})

    def decode(self, body: Body) -> str:
        """The document, or what the mapping makes of it, as a result."""
        parsed = self.read(body)
        result: dict[str, Any] = {"data": parsed.document}
        if self.mapping:
            result = open_envelope(self.mapping.apply(parsed.document, body))
        elif parsed.messages is not None:
            result["messages"] = parsed.messages
        more = {
            "warnings": [*parsed.warnings, *_list(result.get("warnings"))],
            "errors": [*parsed.errors, *_list(result.get("errors"))],
            "downlinks": list(parsed.downlinks),
        }
        return write_storable({**result, **{name: value for name, value in more.items() if value}})

    def encode(self, data: str, _f_port: int | None, _name: str | None, _topic: str | None) -> str:
        """A body for a device."""
        return write_json({"hex": self.write(json.loads(data)).hex()})

    def encode_event(self, event: str) -> str:
        """A body for a receiver: of the event, or of what the mapping makes of it."""
        document = json.loads(event)
        body = self.write(self.mapping.apply(document) if self.mapping else document)
        return write_json({"hex": body.hex(), "type": self.media_type})


def open_envelope(result: Any) -> dict[str, Any]:
    """A mapping's result: it may say `data` and `messages` itself, else it is the data."""
    if result is None:
        raise CodecError("The mapping gives nothing for this body.")
    if (
        isinstance(result, dict)
        and result.keys() <= ENVELOPE
        and result.keys() & {"data", "messages", "errors"}
    ):
        return result
    return {"data": result}


def read_json(text: bytes) -> Any:
    """The JSON in a body. Errors: CodecError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"Not JSON: {error}." if text else "The body is empty.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _list(words: Any) -> list[Any]:
    return words if isinstance(words, list) else [words] if words is not None else []


def shorten_float(number: float) -> float:
    """A number that came in 32 bits, with no more digits than those tell: 21.3, not 21.299999237060547."""
    if not math.isfinite(number):
        return number
    short = float(f"{number:.7g}")
    return short if struct.pack("<f", short) == struct.pack("<f", number) else number
