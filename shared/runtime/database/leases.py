"""What functions that lease answer, read row by row: one that can't be read is told apart, and keeps nobody else's.

Postgres holds JSON that no double holds and levels that nobody reads; what people write is checked for it, and this is
for what came past the checks. Such an answer has each row on a line of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson

from shared.runtime.errors import TooLarge
from shared.runtime.exact_json import read_json

Row = TypeVar("Row")

UNREAD = "What is stored of it can't be read: it has a number that is too large, or too many levels of JSON."

UNREAD_STATE = (
    "What it keeps to go on from is larger than a megabyte and was not read, nor changed: have the operator empty the "
    "state of its row, and it begins anew with what the other side still has."
)

_OBJECT = re.compile(rb'\{\s*"id".*\}', re.DOTALL)
_NAMED = re.compile(rb'\{\s*"id"\s*:\s*"([0-9a-f-]{36})"\s*(?:,\s*"lease_token"\s*:\s*"([0-9a-f-]{36})")?')


@dataclass(frozen=True, slots=True)
class Unread:
    """A row that can't be read; its lease is to be ended, with `UNREAD` as the reason."""

    id: str
    lease_token: str


@dataclass(frozen=True, slots=True)
class Leases(Generic[Row]):
    """Leased rows, those that can't be read, and the integrations by id where the function tells them apart."""

    rows: list[Row] = field(default_factory=list)
    integrations: dict[str, Any] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)


def require_state(state: dict[str, Any] | None) -> dict[str, Any]:
    """A state as it was leased; TooLarge where it was too large for that."""
    if state is None:
        raise TooLarge(UNREAD_STATE)
    return state


def read_leases(body: bytes, name: str | None = None) -> Leases[Any]:
    """The answer of a function that gives rows, or `{integrations, <name>}`."""
    try:
        answer = read_json(body)
    except orjson.JSONDecodeError:
        return _read_lines(body, name)
    return Leases(answer[name], answer["integrations"]) if name else Leases(answer)


def _read_lines(body: bytes, name: str | None) -> Leases[Any]:
    leases: Leases[Any] = Leases()
    for line in body.split(b"\n"):
        if named := _NAMED.search(line):
            row = _read_object(line)
            if row is None and named[2]:
                leases.unread.append(Unread(named[1].decode(), named[2].decode()))
            elif row is not None and name and "lease_token" not in row:
                leases.integrations[row["id"]] = row
            elif row is not None:
                leases.rows.append(row)
    return leases


def _read_object(line: bytes) -> Any:
    """The object on a line; None where it can't be read."""
    if (found := _OBJECT.search(line)) is None:
        return None
    text = found[0]
    # The last line of an array in an object ends with both.
    for candidate in (text, text.removesuffix(b"}").rstrip().removesuffix(b"]")):
        try:
            return read_json(candidate)
        except orjson.JSONDecodeError:
            continue
    return None
