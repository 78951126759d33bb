"""GraphQL documents, looked at as far as saving one takes: one operation, of which kind, with which variables.

The server judges all else, as it alone knows its schema; a connection test asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DOCUMENT_LIMIT = 20_000
DOCUMENT: dict[str, Any] = {"contentMediaType": "application/graphql", "x-rows": 8}
"""For `json_schema_extra` of a document: a text of several lines."""

_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.?|"(?!""))*+(?:"""|\Z)|"(?:[^"\\\n]++|\\.?)*+(?:"|\Z|(?=\n))|#[^\n]*|\$?[A-Za-z_][A-Za-z0-9_]*|[{}()\[\]]',
    re.DOTALL,
)
"""Texts, also one that never ends: from each quote in it the rest would be looked through once more."""

_OPENING, _CLOSING = frozenset("{(["), frozenset("})]")
_OPERATIONS = frozenset(("query", "mutation", "subscription"))


@dataclass(frozen=True, slots=True)
class Operation:
    """The one operation of a document: `query`, `mutation` or `subscription`, and the variables that it names."""

    kind: str
    variables: frozenset[str]


def read_operation(document: str) -> Operation:
    """The operation in `document`; ValueError where it is not one, or more than one."""
    if len(document) > DOCUMENT_LIMIT:
        raise ValueError(f"a document has at most {DOCUMENT_LIMIT:,} characters")
    words = [word for word in _TOKEN.findall(document) if word[0] not in '"#']
    variables = frozenset(word[1:] for word in words if word[0] == "$")
    return Operation(_find_kind(list(_list_kinds(words))), variables)


def _list_kinds(words: Sequence[str]) -> Iterator[str]:
    """The word that each definition begins with: what stands outside of all brackets, once."""
    depth, header = 0, ""
    for word in words:
        if word in _OPENING:
            if not depth and word == "{":
                yield header or "query"
                header = ""
            depth += 1
        elif word in _CLOSING:
            depth -= 1
        elif not depth:
            header = header or word
        if depth < 0:
            break
    if depth or header:
        raise ValueError("its braces don't match, or it ends before its selection; check where it was cut")


def _find_kind(kinds: list[str]) -> str:
    if unknown := set(kinds) - _OPERATIONS - {"fragment"}:
        raise ValueError(
            f"it defines something that is no operation and no fragment ({min(unknown)[:40]}); begin with query, "
            "mutation or subscription"
        )
    operations = [kind for kind in kinds if kind != "fragment"]
    if len(operations) != 1:
        raise ValueError(f"write one operation, and the fragments it uses; there are {len(operations)}")
    return operations[0]


def check_document(document: str, kind: str) -> str:
    """`document` without space around it, where its operation is of `kind`; ValueError says what to change."""
    document = document.strip()
    found = read_operation(document).kind
    if found != kind:
        raise ValueError(f"this is a {found}; write a {kind}, as in {kind} {{ … }}")
    return document
