"""Decoding in one line, for tests: one organization, one source, one body or more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.codecs.codec import Codec
from shared.codecs.contract import Decoded, Uplink

ORGANIZATION = "00000000-0000-4000-8000-000000000001"
MOST_EXACT = 2**53
DECODERS = Path(__file__).parent / "decoders"


def decode(kind: str, source: str, *bodies: bytes, topic: str | None = None) -> list[Decoded]:
    """What a codec makes of bodies."""
    return Codec(ORGANIZATION, kind, source).decode([Uplink(body, 1, topic) for body in bodies])


def decode_one(kind: str, source: str, body: bytes, topic: str | None = None) -> Decoded:
    """What a codec makes of one body."""
    return decode(kind, source, body, topic=topic)[0]


def read_data(kind: str, source: str, body: bytes, topic: str | None = None) -> Any:
    """The data of a body that is decoded without an error."""
    decoded = decode_one(kind, source, body, topic)
    assert decoded.errors == ()
    return decoded.data


def find_error(kind: str, source: str, body: bytes, topic: str | None = None) -> str:
    """Why a body is not decoded."""
    decoded = decode_one(kind, source, body, topic)
    assert decoded.messages == ()
    assert decoded.errors
    return decoded.errors[0]


def uplink(body: str, before: str = "") -> str:
    """A source whose decodeUplink has this body."""
    return f"{before}\nfunction decodeUplink(input) {{ {body} }}"


def read_cases() -> list[dict[str, Any]]:
    """Bodies and commands for the decoders beside this file, with what Node makes of them."""
    text = (DECODERS / "expected.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(text, parse_int=read_number)
    return cases


def read_number(digits: str) -> float:
    """A number of JSON as JavaScript has it."""
    # JavaScript has no other numbers than these; it writes 2 ** 64 with zeros at its end.
    return int(digits) if abs(int(digits)) < MOST_EXACT else float(digits)
