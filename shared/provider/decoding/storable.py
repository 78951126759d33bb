"""What JSON may hold that the database or another reader can't: found by a cheap look at the bytes first."""

from __future__ import annotations

import re
from typing import Any

from shared.provider.messages import REFUSED_EXCERPT

DEPTH_LIMIT = 100

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_CHARACTER_BYTES = 4


def find_trouble(document: Any, body: bytes) -> str | None:
    """Why `document`, parsed from `body`, can't be kept as JSON; None where it can."""
    if b"\\u0000" in body and _NUL.search(body):
        return "The JSON holds the character \\u0000, which the database can't store."
    return find_depth(document, body)


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


def _measure_depth(document: Any) -> int:
    depth, level = 0, [document]
    while level and depth <= DEPTH_LIMIT:
        containers = [item for item in level if isinstance(item, dict | list)]
        depth += bool(containers)
        level = [
            child for item in containers for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
