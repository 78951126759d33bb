"""Hide secrets in text that others will read: replies that echo them, rendered requests."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
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
    forms, pattern = _compile_forms(tuple(secrets))
    if not forms:
        return text
    tail = _measure_tail(text, forms) if cut else 0
    kept = text[:-tail] if tail else text
    masked = pattern.sub(MASK, kept) if len(kept) >= len(forms[-1]) else kept
    return masked + MASK if tail else masked


@lru_cache(maxsize=256)
def _compile_forms(secrets: tuple[str, ...]) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """Every form, longest first, and what matches any of them. Kept, because every delivery's answer is masked."""
    forms = sorted({form for secret in secrets for form in _list_forms(secret)}, key=len, reverse=True)
    return tuple(forms), re.compile("|".join(map(re.escape, forms)))


def _list_forms(secret: str) -> Iterator[str]:
    for word in {secret, *(word for word in secret.split() if len(word) >= WORD_LENGTH)} - {""}:
        quoted = _quote_json(word)
        for text in {
            word,
            html.escape(word),
            *quoted,
            *(each for once in quoted for each in _quote_json(once)),
        }:
            yield text
            yield from (quote(text), quote(text, safe=""), quote_plus(text))
            yield from _list_base64(text.encode())


def _quote_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _list_base64(secret: bytes) -> Iterator[str]:
    """`secret` as base64 writes it alone and, where it is long enough to be told, within something longer."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode()
        if len(secret) >= WORD_LENGTH:
            for before in range(3):
                # Only the characters made of nothing but the secret: 6 bits each, after `before` bytes of 8.
                encoded = encode(bytes(before) + secret).decode()
                yield encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]


def _measure_tail(text: str, forms: tuple[str, ...]) -> int:
    """How many characters at the end of `text` begin a secret, 0 where too few to tell."""
    lengths = (
        length
        for form in forms
        for length in range(min(len(form), len(text)), TAIL_LENGTH - 1, -1)
        if text.endswith(form[:length])
    )
    return max(lengths, default=0)
