"""A request's JSON body: looked into for its keys only, and sent on to Postgres as it came."""

from __future__ import annotations

import json
from dataclasses import dataclass

import orjson

from scripts.local.rest.binding import Value, bind_json
from scripts.local.rest.errors import RestError


@dataclass(frozen=True, slots=True)
class Payload:
    """The body, its keys in their order, and whether it is an array of rows."""

    content: bytes
    keys: tuple[str, ...]
    many: bool
    rows: int

    def as_json(self) -> Value:
        """The body for binding, always as an array of rows."""
        return bind_json(self.content if self.many else b"[" + self.content + b"]")


def parse_rows(content: bytes, *, same_keys: bool) -> Payload:
    """A body of one row or many; `same_keys` refuses rows that differ in their keys."""
    document = parse_json(content)
    if isinstance(document, dict):
        return Payload(content, tuple(document), many=False, rows=1)
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise refuse_body(
            "All object keys must match" if isinstance(document, list) else "Empty or invalid json"
        )
    keys: dict[str, None] = dict.fromkeys(document[0]) if document else {}
    if same_keys and any(row.keys() != keys.keys() for row in document):
        raise refuse_body("All object keys must match")
    return Payload(content, tuple(keys), many=True, rows=len(document))


def parse_json(content: bytes) -> object:
    """Any JSON; 400 PGRST102 for what is not JSON."""
    try:
        document: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return _parse_unportable(content, str(error))
    return document


def _parse_unportable(content: bytes, why: str) -> object:
    """JSON whose numbers no double holds, which Postgres takes; only its keys are looked at here."""
    try:
        return json.loads(content, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise refuse_body("Empty or invalid json", why) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def refuse_body(message: str, details: str | None = None) -> RestError:
    """400 PGRST102."""
    return RestError(400, "PGRST102", message, details=details)
