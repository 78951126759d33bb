"""A body that is a list of documents, each judged for itself: one that can't be kept takes no other along."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from shared.provider.decoding.storable import is_too_deep, read_document
from shared.runtime.exact_json import write_json

MOST_PARTS = 5_000
"""Of a list that has to be taken apart; one that holds more stays whole."""

MOST_TOKENS = 100_000
"""Looked at one by one; what follows them stays together: others' requests wait meanwhile."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
"""Texts, which no commas are looked for in, and what cuts a list."""

_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a body; where there is none, its `error` and its own `text`."""

    document: Any
    error: str | None = None
    text: bytes = b""

    @property
    def body(self) -> bytes:
        """The part as a body of its own."""
        return self.text if self.error else write_json(self.document)


class Parts(NamedTuple):
    """What a body holds: the items of its list, or the one document that it is; none where there is an `error`.

    `remark` is what was odd and did not prevent that.
    """

    items: list[Part]
    remark: str | None = None
    error: str | None = None
    is_list: bool = False


def read_parts(body: bytes) -> Parts:
    """As `read_document`, but that each item of a list may be nested as deep as a body. No input raises."""
    document, remark, error = read_document(body)
    if error is None and isinstance(document, list):
        return Parts([Part(each) for each in document], remark, is_list=True)
    if error is None:
        return Parts([Part(document)], remark)
    texts = list(islice(_cut_list(body), MOST_PARTS + 1)) if is_too_deep(error) else []
    read = [(text, *read_document(text)) for text in texts] if len(texts) <= MOST_PARTS else []
    parts = [Part(inner, trouble, text if trouble else b"") for text, inner, _, trouble in read]
    if all(each.error for each in parts):
        return Parts([], error=error)
    return Parts(parts, next((odd for _, _, odd, _ in read if odd), None), is_list=True)


def _cut_list(body: bytes) -> Iterator[bytes]:
    """The texts of a list's items; none of what is no list, and what follows its end is one too."""
    if body.lstrip()[:1] != b"[":
        return
    depth = start = 0
    for found in islice(_TOKEN.finditer(body), MOST_TOKENS):
        token = found[0]
        depth += _STEPS.get(token, 0)
        if depth == 1 and token == b"[":
            start = found.end()
        elif depth == 0 or (depth == 1 and token == b","):
            yield body[start : found.start()].strip()
            start = found.end()
        if depth == 0:
            break
    if rest := body[start:].strip():
        yield rest
