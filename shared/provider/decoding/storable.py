"""JSON as the database and other readers can hold it: what little is wrong with is mended and marked, never lost."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from shared.provider.decoding.mending import REPLACED, mend_json
from shared.provider.messages import REFUSED_EXCERPT
from shared.runtime.exact_json import read_json, write_json

DEPTH_LIMIT = 100
TOO_DEEP = f"The JSON is nested deeper than {DEPTH_LIMIT} levels."
SHALLOW_BYTES = 2 * DEPTH_LIMIT
"""Too few for more levels."""

REPEATED = "The JSON names a field more than once, and the last one counts."

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_CHARACTER_BYTES = 4
_UNREADABLE = "Not JSON: depth limit exceeded"
"""What is said of more levels than orjson reads at all."""

_SPACED = (b'" ', b'"\t', b'"\n', b'"\r')
_CONTAINERS = frozenset((dict, list))


Document = tuple[Any, str | None, str | None]
"""A JSON document; a remark on what was odd about its text, which is kept then; an error where there is none.

A plain tuple, as one is made for every message.
"""


def read_document(body: bytes) -> Document:
    """The document in `body`, mended where that is possible. Whole numbers are exact. No input raises."""
    try:
        value = read_json(body)
    except orjson.JSONDecodeError as problem:
        return _read_mended(body) or (
            None,
            None,
            f"Not JSON: {problem.msg} at position {problem.pos}." if body else "The body is empty.",
        )
    if (
        type(value) is dict
        and len(body) < SHALLOW_BYTES
        and body.count(b":") == len(value)
        and b"\\" not in body
    ):
        # As most are: as many colons as fields, so none is named twice.
        return value, None, None
    return _look_closer(value, body)


def _look_closer(value: Any, body: bytes) -> Document:
    if b"\\u0000" in body and _NUL.search(body):
        replaced, _, error = read_document(_NUL.sub(rb"\1\\ufffd", body))
        return replaced, REPLACED, error
    trouble = find_depth(value, body)
    if trouble:
        return None, None, trouble
    return value, REPEATED if _repeats_names(value, body) else None, None


def find_depth(document: Any, body: bytes) -> str | None:
    """Whether `document`, parsed from `body`, is nested too deep, in words; None where it is not."""
    if body.count(b"[") + body.count(b"{") > DEPTH_LIMIT and _measure_depth(document) > DEPTH_LIMIT:
        return TOO_DEEP
    return None


def is_too_deep(error: str | None) -> bool:
    """Whether that is what `read_document` says of a body that is nested too deep."""
    return error is not None and (error == TOO_DEEP or error.startswith(_UNREADABLE))


def cut_excerpt(body: bytes) -> bytes:
    """The beginning of a body that is too large, not cut inside a character where it is text."""
    excerpt = body[:REFUSED_EXCERPT]
    text = excerpt.decode(errors="ignore").encode()
    return text if len(excerpt) - len(text) < _CHARACTER_BYTES else excerpt


def _read_mended(body: bytes) -> Document | None:
    """The document that was meant, with what was done to read it; None where that can't be told."""
    for mended, remark in mend_json(body):
        try:
            orjson.loads(mended)
        except orjson.JSONDecodeError:
            continue
        document, _, error = read_document(mended)
        return document, remark, error
    return None


def _repeats_names(document: Any, body: bytes) -> bool:
    """Whether an object names a field twice. Its text is read once more only where it may hold more than are there."""
    if type(document) not in _CONTAINERS:
        return False
    written = write_json(document)
    if written == body:
        return False
    # A name's colon follows a quote, unless there is space between them; within a text both write a quote alike.
    pairs = body.count(b'":') + sum(map(body.count, _SPACED))
    return (pairs > written.count(b'":') or b"\\u0022" in body) and _finds_repetition(body)


def _finds_repetition(body: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(body.decode(), object_pairs_hook=look)
    return found


def _measure_depth(document: Any) -> int:
    depth, level = 0, [document]
    while level and depth <= DEPTH_LIMIT:
        containers = [item for item in level if isinstance(item, dict | list)]
        depth += bool(containers)
        level = [
            child for item in containers for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
