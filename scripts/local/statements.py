"""Splits a migration into statements where the Supabase CLI does, so that both record the same.

A semicolon ends a statement unless it stands in a comment, a quoted text or name, a dollar-quoted body,
parentheses or `begin atomic … end`.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
    (?P<line>--[^\n]*)
  | (?P<block>/\*)
  | (?P<text>'(?:[^']|'')*(?:'|$))
  | (?P<name>"(?:[^"]|"")*(?:"|$))
  | (?P<dollar>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$))
  | (?P<escape>\\.)
  | (?P<atomic>(?<=\s)atomic\b)
  | (?P<word>\w+)
  | (?P<mark>[();])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def split_statements(text: str) -> list[str]:
    """The statements in order, trimmed and without their semicolons; a comment stays with what follows it."""
    pieces = []
    start = position = 0
    closers: list[str] = []
    while found := _TOKEN.search(text, position):
        position = found.end()
        word = found.group().lower()
        if found.lastgroup == "block":
            position = _skip_block(text, position)
        elif found.lastgroup == "atomic":
            closers.append("end")
        elif word == "(":
            closers.append(")")
        elif word == "case" and closers:
            closers.append("end")
        elif closers and word == closers[-1]:
            closers.pop()
        elif word == ";" and not closers:
            pieces.append(text[start:position])
            start = position
    pieces.append(text[start:])
    return [trimmed for piece in pieces if (trimmed := piece.rstrip(";").strip())]


def _skip_block(text: str, position: int) -> int:
    """The end of a block comment opened just before `position`; they nest in SQL."""
    depth = 1
    while depth and (edge := _BLOCK_EDGE.search(text, position)):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return len(text) if depth else position
