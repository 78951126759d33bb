"""JSON as the database and other readers can hold it: what little is wrong with is mended and marked, never lost."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from shared.provider.messages import REFUSED_EXCERPT
from shared.runtime.exact_json import read_json

DEPTH_LIMIT = 100
SHALLOW_BYTES = 2 * DEPTH_LIMIT
"""Too few for more levels."""

AROUND = "A byte order mark, or what follows a NUL byte, was left out; raw has all that came."
REPLACED = "NUL characters, which the database can't store, were replaced; raw has them."
REPEATED = "The JSON names a field more than once, and the last one counts."

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_CHARACTER_BYTES = 4
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


def replace_nul(value: Any) -> Any:
    """A JSON document that did not come as JSON text, its NUL characters replaced."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {replace_nul(name): replace_nul(inner) for name, inner in value.items()}
    return [replace_nul(inner) for inner in value] if isinstance(value, list) else value


def find_depth(document: Any, body: bytes) -> str | None:
    """Whether `document`, parsed from `body`, is nested too deep, in words; None where it is not."""
    if body.count(b"[") + body.count(b"{") > DEPTH_LIMIT and _measure_depth(document) > DEPTH_LIMIT:
        return f"The JSON is nested deeper than {DEPTH_LIMIT} levels."
    return None


def cut_excerpt(body: bytes) -> bytes:
    """The beginning of a body that is too large, not cut inside a character where it is text."""
    excerpt = body[:REFUSED_EXCERPT]
    text = excerpt.decode(errors="ignore").encode()
    return text if len(excerpt) - len(text) < _CHARACTER_BYTES else excerpt


def _read_mended(body: bytes) -> Document | None:
    """What is left without the buffer and the byte order mark around it; None where that is no JSON either."""
    plain = _decode_utf16(body).removeprefix(b"\xef\xbb\xbf")
    for mended, remark in (
        (plain.partition(b"\x00")[0], AROUND),
        (plain.replace(b"\x00", b"\\ufffd"), REPLACED),
    ):
        if mended in {body, b""}:
            continue
        try:
            orjson.loads(mended)
        except orjson.JSONDecodeError:
            continue
        document, _, error = read_document(mended)
        return document, remark, error
    return None


def _decode_utf16(body: bytes) -> bytes:
    if not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body
    try:
        return body.decode("utf-16").encode()
    except UnicodeError:
        return body


def _repeats_names(document: Any, body: bytes) -> bool:
    """Whether an object names a field twice. Its text is read once more only where it may hold more than are there."""
    if not isinstance(document, dict | list):
        return False
    # A name's colon follows a quote, unless there is space between them.
    pairs = body.count(b'":')
    for space in _SPACED:
        if space in body:
            pairs += body.count(space)
    return pairs > _count_names(document) and _finds_repetition(body)


def _count_names(document: Any) -> int:
    count, level = 0, [document]
    while level:
        container = level.pop()
        if type(container) is dict:
            count += len(container)
            container = container.values()
        for inner in container:
            if type(inner) in _CONTAINERS:
                level.append(inner)  # noqa: PERF401 - twice as quick as a list made of nothing, most often
    return count


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
