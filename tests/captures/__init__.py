"""Requests as other platforms send them, and the messages they stand for: `<platform>/<name>.http` and `.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Capture:
    """One captured request; `messages` has the fields of each message that are told by the request alone."""

    name: str
    headers: dict[str, str]
    body: bytes
    messages: list[dict[str, Any]]


def read_captures(platform: str) -> list[Capture]:
    """All captures of a platform, by name."""
    return [_read_capture(file) for file in sorted((FOLDER / platform).glob("*.http"))]


def _read_capture(file: Path) -> Capture:
    head, _, body = file.read_bytes().partition(b"\n\n")
    lines = (line.partition(": ") for line in head.decode().splitlines())
    messages = orjson.loads(file.with_suffix(".json").read_bytes())
    return Capture(file.stem, {name: value for name, _, value in lines}, body, messages)
