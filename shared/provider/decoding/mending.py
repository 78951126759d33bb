"""JSON as devices write it that put it together by hand: what little is wrong is mended, so that the rest can be read.

A buffer or a byte order mark around it; bytes that are no UTF-8 (the degree sign of a sensor); characters within texts
that JSON wants escaped; halves of surrogate pairs; NaN and Infinity, which become null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

AROUND = "A byte order mark, or what follows a NUL byte, was left out; raw has all that came."
REPLACED = "NUL characters, which the database can't store, were replaced; raw has them."
MENDED = (
    "It was not quite JSON (bytes that are no UTF-8, characters that want escaping, NaN or Infinity) and was "
    "mended; raw has all that came."
)

MENDABLE_BYTES = 8_192
"""Of what is longer only the ends are looked at: each text within costs its time."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[+-]?\b(?:nan|inf(?:inity)?)\b', re.IGNORECASE | re.DOTALL)
"""Texts, which no words are looked for in, and words for numbers."""

_CHARACTER = re.compile(
    r"\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"
    r"|(?P<half>\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2})|\\.|(?P<control>[\x00-\x1f])",
    re.DOTALL,
)


def mend_json(body: bytes) -> Iterator[tuple[bytes, str]]:
    """What `body` may have been meant as, the least mended first, each with a remark on what was done."""
    plain = _decode_utf16(body).removeprefix(b"\xef\xbb\xbf")
    ways = {plain.partition(b"\x00")[0]: AROUND}
    ways.setdefault(plain.replace(b"\x00", b"\\ufffd"), REPLACED)
    yield from ((mended, remark) for mended, remark in ways.items() if mended not in {body, b""})
    for text in ways:
        if len(text) <= MENDABLE_BYTES and text.lstrip()[:1] in {b"{", b"["}:
            yield _mend_text(text.decode(errors="replace")).encode(), MENDED


def _mend_text(text: str) -> str:
    # Erased flash memory is 0xFF, and some send as much of it as their buffer is long.
    return _TOKEN.sub(_mend_token, text.rstrip("\ufffd"))


def _mend_token(found: re.Match[str]) -> str:
    return _CHARACTER.sub(_mend_character, found[0]) if found[0][0] == '"' else "null"


def _mend_character(found: re.Match[str]) -> str:
    if found["half"]:
        return "\ufffd"
    return f"\\u{ord(found['control']):04x}" if found["control"] else found[0]


def _decode_utf16(body: bytes) -> bytes:
    if not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body
    try:
        return body.decode("utf-16").encode()
    except UnicodeError:
        return body
