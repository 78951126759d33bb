"""JSON as the database and other readers can hold it: what little is wrong with is mended and marked, never lost."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

from shared.provider.messages import REFUSED_EXCERPT
from shared.runtime.exact_json import read_json

DEPTH_LIMIT = 100
AROUND = "A byte order mark, or what follows a NUL byte, was left out; raw has all that came."
REPLACED = "NUL characters, which the database can't store, were replaced; raw has them."
REPEATED = "The JSON names a field more than once, and the last one counts."

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_CHARACTER_BYTES = 4


class Document(NamedTuple):
    """A JSON document. `remark` says what was odd about its text, which is kept then; `error` why there is none."""

    value: Any
    remark: str | None = None
    error: str | None = None


def read_document(body: bytes) -> Document:
    """The document in `body`, mended where that is possible. Whole numbers are exact. No input raises."""
    try:
        value = read_json(body)
    except orjson.JSONDecodeError as problem:
        return _read_mended(body) or Document(
            None,
            None,
            f"Not JSON: {problem.msg} at position {problem.pos}." if body else "The body is empty.",
        )
    if b"\\u0000" in body and _NUL.search(body):
        return read_document(_NUL.sub(rb"\1\\ufffd", body))._replace(remark=REPLACED)
    trouble = find_depth(value, body)
    if trouble:
        return Document(None, None, trouble)
    return Document(value, REPEATED if _repeats_names(value, body) else None)


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
        document = read_document(mended)
        return document if document.error else document._replace(remark=remark)
    return None


def _decode_utf16(body: bytes) -> bytes:
    if not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body
    try:
        return body.decode("utf-16").encode()
    except UnicodeError:
        return body


def _repeats_names(document: Any, body: bytes) -> bool:
    """Whether an object names a field twice. Its text is read once more only where it has more colons than names."""
    if not isinstance(document, dict | list):
        return False
    count = body.count(b":")
    if isinstance(document, dict) and count == len(document):
        return False
    # A name's colon follows a quote, unless there is space between them.
    spaced = sum(body.count(space) for space in (b'" ', b'"\t', b'"\n', b'"\r'))
    return min(count, body.count(b'":') + spaced) > _count_names(document) and _finds_repetition(body)


def _count_names(document: Any) -> int:
    count, level = 0, [document]
    while level:
        container = level.pop()
        if isinstance(container, dict):
            count += len(container)
            container = container.values()
        level += [inner for inner in container if isinstance(inner, dict | list)]
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
