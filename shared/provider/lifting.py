"""JSON that is nested too deep: what lies deepest is lifted out, so that the rest can be read and taken apart.

In its place stands a text that names it by its content; whoever has found what it belongs to puts it back there. So one
item that is nested too deep takes no other along, wherever in a document the items are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from shared.provider.decoding.storable import Document, is_too_deep, read_document
from shared.provider.items import write_item
from shared.runtime.exact_json import read_json

LEVELS = 90
"""Of a document that stay: fewer than whatever reads on is content with, with levels of its own around them."""

MOST_TOKENS = 1_000_000
"""Looked at one by one; of a document that has more nothing is lifted out."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_MARK = re.compile(rb'"nested too deep: [0-9a-f]{64}"')


class Lifted(NamedTuple):
    """A document's text without what lies too deep, and that, by what stands in its place."""

    body: bytes
    texts: Mapping[bytes, bytes]

    def restore(self, text: bytes) -> bytes:
        """The text of a part of the document, with all that belongs to it."""
        return _MARK.sub(lambda found: self.texts.get(found[0], found[0]), text) if self.texts else text

    def split(self, items: Sequence[Any]) -> tuple[list[Any], list[tuple[Any, bytes]]]:
        """Items that are not nested too deep, whole; and the others, each with its text."""
        kept: list[Any] = []
        deep: list[tuple[Any, bytes]] = []
        for item in items:
            written = write_item(item)
            text = self.restore(written)
            if is_too_deep(read_document(text)[2]):
                deep.append((item, text))
            else:
                kept.append(item if text is written else read_json(text))
        return kept, deep


UNLIFTED = Lifted(b"", {})
"""Of a document that is not nested too deep."""


def lift_deep(body: bytes, most_tokens: int = MOST_TOKENS) -> Lifted:
    """`body` with what lies deeper than `LEVELS` lifted out; as it is where it has more than `most_tokens`."""
    texts: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    depth = start = 0
    tokens = _TOKEN.finditer(body)
    for found in islice(tokens, most_tokens):
        step = _STEPS.get(found[0], 0)
        depth += step
        if step > 0 and depth == LEVELS + 1:
            parts.append(body[start : found.start()])
            start = found.start()
        elif step < 0 and depth == LEVELS:
            text = body[start : found.end()]
            mark = b'"nested too deep: %s"' % hashlib.sha256(text).hexdigest().encode()
            texts[mark] = text
            parts.append(mark)
            start = found.end()
    if next(tokens, None):
        return Lifted(body, {})
    return Lifted(b"".join((*parts, body[start:])), texts)


def read_lifted(body: bytes) -> tuple[Document, Lifted]:
    """As `read_document`, but without what lies too deep where that would keep it from being read at all."""
    document = read_document(body)
    if not is_too_deep(document[2]):
        return document, UNLIFTED
    lifted = lift_deep(body)
    return (read_document(lifted.body), lifted) if lifted.texts else (document, UNLIFTED)
