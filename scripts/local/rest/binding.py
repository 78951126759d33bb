"""Collects the values of one statement; a value never becomes part of its text."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.sql import SQL, Composable, Identifier

JSON_OID = 114
JSONB_OID = 3802
JSONB_VERSION = b"\x01"


class RawJson:
    """A JSON text on its way to Postgres as it came."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content


class RawJsonDumper(Dumper):
    """Sends the bytes in the binary format, in which a stray NUL is refused rather than ending the text early."""

    format = Format.BINARY
    oid = JSON_OID

    def dump(self, obj: RawJson) -> Buffer | None:
        """The bytes themselves."""
        return obj.content


class RawJsonb(RawJson):
    """A JSON text that Postgres is to parse into jsonb at once."""

    __slots__ = ()


class RawJsonbDumper(Dumper):
    """Sends the text as jsonb's binary format has it: after a version byte."""

    format = Format.BINARY
    oid = JSONB_OID

    def dump(self, obj: RawJsonb) -> Buffer | None:
        """The version and the bytes."""
        return JSONB_VERSION + obj.content


class BytesLoader(Loader):
    """Hands text on as bytes: results are JSON made by Postgres and go out as they are."""

    def load(self, data: Buffer) -> bytes:
        """The bytes themselves."""
        return bytes(data)


class Binder:
    """Numbers the values of a statement: `$1`, `$2`, …, in whatever order its parts are put together."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def bind(self, value: object) -> Composable:
        """The placeholder that stands for the value."""
        self.values.append(value)
        return SQL(f"${len(self.values)}")


def quote(*names: str) -> Composable:
    """A quoted identifier, qualified by the names before it."""
    return Identifier(*names)


def join(parts: Sequence[Composable], separator: str = ", ") -> Composable:
    """The parts one after another."""
    return SQL(separator).join(parts)
