"""Hide secrets in text that others will read: replies that echo them, rendered requests."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
WORD_LENGTH = 8
"""Characters from which a word within a secret is hidden alone too: the token of `Bearer <token>`."""

TAIL_LENGTH = 4
"""Characters of a secret that give it away where a text was cut in the middle of it."""


def mask_secrets(text: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """`text` with `***` for each of `secrets`, as it is and as JSON, HTML, URLs and base64 write it.

    `cut` says that `text` goes on elsewhere, so its end may be the beginning of a secret.
    """
    forms = sorted({form for secret in secrets for form in _list_forms(secret)}, key=len, reverse=True)
    if not forms:
        return text
    masked = re.sub("|".join(map(re.escape, forms)), MASK, text)
    return _mask_tail(masked, forms) if cut else masked


def _list_forms(secret: str) -> Iterator[str]:
    for word in {secret, *(word for word in secret.split() if len(word) >= WORD_LENGTH)}:
        if word:
            yield from (
                word,
                html.escape(word),
                json.dumps(word)[1:-1],
                json.dumps(word, ensure_ascii=False)[1:-1],
            )
            yield from (
                quote(word),
                quote(word, safe=""),
                quote_plus(word),
                base64.b64encode(word.encode()).decode(),
            )


def _mask_tail(text: str, forms: list[str]) -> str:
    for form in forms:
        for length in range(min(len(form), len(text)), TAIL_LENGTH - 1, -1):
            if text.endswith(form[:length]):
                return text[:-length] + MASK
    return text
