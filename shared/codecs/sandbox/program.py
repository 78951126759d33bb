"""What every kind of codec is inside of a child, and how a result is told: as JSON text, ready to be sent."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol


class Body(NamedTuple):
    """One body to decode."""

    content: bytes
    f_port: int | None
    topic: str | None
    received_at: str | None


class SourceError(Exception):
    """A source does not compile; `line` and `column` count from 1."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class CodecError(Exception):
    """A body can't be decoded, or data can't be encoded: the reason in words."""


class StoppedError(Exception):
    """A limit was reached. The program is not to be used again."""


class Program(Protocol):
    """A compiled source. Each call answers with the JSON text of an object, and raises CodecError or StoppedError."""

    state: dict[str, Any]
    """What it remembers from one body to the next; JSON."""

    def describe(self) -> str:
        """What the source has: the text of `{"functions": [...]}`."""

    def decode(self, body: Body) -> str:
        """`{"data", "messages"?, "normalized"?, "warnings"?, "errors"?, "downlinks"?}`."""

    def encode(self, data: str, f_port: int | None, name: str | None, topic: str | None) -> str:
        """`{"bytes", "fPort"?, "warnings"?, "errors"?}` or `{"hex"}`; `data` is JSON text."""

    def encode_event(self, event: str) -> str:
        """`{"text"}`, `{"bytes"}`, `{"hex"}` or `{"json"}`, with `"type"?`; `event` is JSON text."""


def write_json(value: Any) -> str:
    """`value` as compact JSON; ValueError where it holds a number that JSON has not."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_errors(*errors: str, stopped: bool = False) -> str:
    """The result that stands for a body without one."""
    return write_json({"errors": [*errors], **({"stopped": True} if stopped else {})})
