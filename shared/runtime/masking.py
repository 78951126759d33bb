"""Hide secrets in text that others will read: replies that echo them, rendered requests.

The time is linear in the text and in the secrets, whoever wrote them: an endpoint that answers with what an admin made
to be looked for slowly would hold up everybody else. What would take longer is hidden whole.
"""

from __future__ import annotations

import base64
import html
import json
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import chain
from threading import Lock
from urllib.parse import quote

MASK = "***"
WORD_LENGTH = 8
"""Characters from which a word within a secret is hidden alone too: the token of `Bearer <token>`."""

TAIL_LENGTH = 4
"""Characters of a secret that give it away where a text was cut in the middle of it."""

FEW_FORMS = 128
"""Up to so many are looked for one by one; more of them by the blocks they are made of."""

BLOCK = 8

KEPT_CHARACTERS = 16_000_000
"""Of forms, for the secrets that were masked last: every delivery's answer is masked."""


class _TooSlowError(Exception):
    """The text was made to be searched slowly."""


def mask_secrets(text: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """`text` with `***` for each of `secrets`, as it is and as JSON, HTML, URLs and base64 write it.

    `cut` says that `text` goes on elsewhere, so its end may be the beginning of a secret. Of two forms that overlap the
    one that begins first is hidden, of two that begin together the longer one.
    """
    if not text:
        return text
    forms = _kept_forms.find(tuple(secrets))
    tail = forms.measure_tail(text) if cut else 0
    kept = text[:-tail] if tail else text
    if len(kept) < forms.shortest or not forms.sorted:
        return kept + MASK if tail else kept
    try:
        masked = "".join(_replace(kept, forms))
    except _TooSlowError:
        return MASK
    return masked + MASK if tail else masked


class _Forms:
    """Every way that some secrets are written: sorted, and by the block they begin with."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.sorted = sorted({form for secret in secrets for form in _list_forms(secret)})
        self.size = sum(map(len, self.sorted))
        self.shortest = min(map(len, self.sorted), default=0)
        self._longest = max(map(len, self.sorted), default=0)
        self._heads = {form[:TAIL_LENGTH] for form in self.sorted}
        self.short = [form for form in self.sorted if len(form) < BLOCK]
        self.by_block: defaultdict[str, list[str]] = defaultdict(list)
        for form in self.sorted:
            if len(form) >= BLOCK:
                self.by_block[form[:BLOCK]].append(form)

    def measure_tail(self, text: str) -> int:
        """How many characters at the end of `text` begin a form, 0 where too few to tell."""
        for at in range(max(0, len(text) - self._longest), len(text) - TAIL_LENGTH + 1):
            if text[at : at + TAIL_LENGTH] in self._heads:
                rest = text[at:]
                place = bisect_left(self.sorted, rest)
                if place < len(self.sorted) and self.sorted[place].startswith(rest):
                    return len(rest)
        return 0


class _KeptForms:
    """The forms of the secrets that were asked for last, up to KEPT_CHARACTERS in all; for any number of threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], _Forms] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def find(self, secrets: tuple[str, ...]) -> _Forms:
        """The forms of `secrets`."""
        with self._lock:
            if forms := self._kept.get(secrets):
                self._kept.move_to_end(secrets)
                return forms
        forms = _Forms(secrets)
        with self._lock:
            if secrets not in self._kept:
                self._kept[secrets] = forms
                self._size += forms.size
            while self._size > KEPT_CHARACTERS and len(self._kept) > 1:
                self._size -= self._kept.popitem(last=False)[1].size
        return forms


_kept_forms = _KeptForms()


class _Search:
    """Looks for forms in one text, in steps that are counted: one by one where they are few, else by their blocks."""

    def __init__(self, text: str, forms: _Forms) -> None:
        self._text = text
        self._steps = 100_000 + 16 * len(text)
        self._blocks: defaultdict[str, list[int]] = defaultdict(list)
        self._rarest: dict[str, tuple[int, Sequence[int]]] = {}
        self.candidates: Iterable[str] = forms.sorted
        if len(forms.sorted) > FEW_FORMS:
            for at in range(len(text) - BLOCK + 1):
                self._blocks[text[at : at + BLOCK]].append(at)
            begun = (forms.by_block[block] for block in self._blocks.keys() & forms.by_block.keys())
            self.candidates = chain(forms.short, *begun)

    def find(self, form: str, at: int) -> int:
        """Where `form` is next, from `at` on; -1 where it is not. _TooSlowError after too many steps."""
        if not self._blocks or len(form) < BLOCK:
            self._count_step()
            return self._text.find(form, at)
        offset, places = self._rarest.get(form) or self._find_rarest(form)
        for index in range(bisect_left(places, at + offset), len(places)):
            self._count_step()
            if self._text.startswith(form, places[index] - offset):
                return places[index] - offset
        return -1

    def _find_rarest(self, form: str) -> tuple[int, Sequence[int]]:
        """Of the blocks of `form` that which the text has least: its offset, and its places in the text."""
        rarest: tuple[int, Sequence[int]] = (0, range(len(self._text)))
        for offset in (*range(0, len(form) - BLOCK, BLOCK), len(form) - BLOCK):
            places = self._blocks.get(form[offset : offset + BLOCK], ())
            if len(places) < len(rarest[1]):
                rarest = self._rarest[form] = (offset, places)
            if len(places) <= 1:
                break
        return rarest

    def _count_step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise _TooSlowError


def _replace(text: str, forms: _Forms) -> Iterator[str]:
    search = _Search(text, forms)
    found = [(place, -len(form), form) for form in search.candidates if (place := search.find(form, 0)) >= 0]
    heapify(found)
    done = 0
    while found:
        place, length, form = found[0]
        if place >= done:
            yield from (text[done:place], MASK)
            done = place - length
        if (following := search.find(form, done)) >= 0:
            heapreplace(found, (following, length, form))
        else:
            heappop(found)
    yield text[done:]


def _list_forms(secret: str) -> Iterator[str]:
    for word in {secret, *(word for word in secret.split() if len(word) >= WORD_LENGTH)} - {""}:
        quoted = _quote_json(word)
        for text in {
            word,
            html.escape(word),
            *quoted,
            *(each for once in quoted for each in _quote_json(once)),
        }:
            # As quote, quote of paths and quote_plus write it.
            escaped = quote(text, safe="")
            yield from (text, escaped, escaped.replace("%2F", "/"), escaped.replace("%20", "+"))
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
