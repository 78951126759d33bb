"""Collects the values of one statement; a value never becomes part of its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.pq import Format
from psycopg.sql import SQL, Composable, Identifier

from scripts.local.rest.errors import RestError

UNKNOWN, BYTEA, JSON, JSONB = 0, 17, 114, 3802
JSONB_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class Value:
    """A value as libpq takes it. A NUL in a binary one is refused by Postgres; in a text it would be the end."""

    content: bytes
    oid: int = UNKNOWN
    format: Format = Format.TEXT


def bind_text(text: str) -> Value:
    """A text of which Postgres finds out the type."""
    content = text.encode()
    if b"\0" in content:
        raise RestError(400, "22021", "A text can not contain the NUL character (0x00)")
    return Value(content)


def bind_bytes(content: bytes) -> Value:
    """A bytea."""
    return Value(content, BYTEA, Format.BINARY)


def bind_json(content: bytes) -> Value:
    """A JSON text, as it came."""
    return Value(content, JSON, Format.BINARY)


def bind_jsonb(content: bytes) -> Value:
    """A JSON text that Postgres is to parse into jsonb at once: its binary format is a version and the text."""
    return Value(JSONB_VERSION + content, JSONB, Format.BINARY)


class Binder:
    """Numbers the values of a statement: `$1`, `$2`, …, in whatever order its parts are put together."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def bind(self, value: Value | str) -> Composable:
        """The placeholder that stands for the value."""
        self.values.append(bind_text(value) if isinstance(value, str) else value)
        return SQL(f"${len(self.values)}")


def quote(*names: str) -> Composable:
    """A quoted identifier, qualified by the names before it."""
    return Identifier(*names)


def join(parts: Sequence[Composable], separator: str = ", ") -> Composable:
    """The parts one after another."""
    return SQL(separator).join(parts)
