"""Parses `select=`: columns, aliases, casts, json paths, `count`, and embedded tables."""

from __future__ import annotations

import re

from scripts.local.rest.errors import refuse_feature
from scripts.local.rest.nodes import Column, Count, Embed, Node, Star
from scripts.local.rest.scanner import Scanner

# A type name in the words SQL has for them; nothing that could end the cast it is put into.
TYPE = re.compile(
    r"[a-z_][a-z0-9_]*(?: [a-z][a-z0-9_]*){0,3}(?:\(\d{1,4}(?:,\d{1,4})?\))?(?:\[\])?", re.IGNORECASE
)
ALIAS = re.compile(r":(?!:)")
JOINS = {"inner": True, "left": False}


def parse_select(text: str) -> Node:
    """The tree of tables and columns a `select` asks for; an empty one asks for everything."""
    scanner = Scanner("select parameter", text)
    node = Node(items=_parse_items(scanner)) if text.strip() else Node(items=[Star()])
    if not scanner.at_end() and text.strip():
        raise scanner.refuse("expecting a comma or the end")
    return node


def _parse_items(scanner: Scanner) -> list[Star | Count | Column | Embed]:
    items = [_parse_item(scanner)]
    while scanner.accept(","):
        items.append(_parse_item(scanner))
    return items


def _parse_item(scanner: Scanner) -> Star | Count | Column | Embed:
    if scanner.accept("..."):
        raise refuse_feature("spreading an embedded table (...table(columns))")
    if scanner.accept("*"):
        return Star()
    alias = _parse_alias(scanner)
    path = scanner.path()
    if scanner.text[scanner.position : scanner.position + 1] in ("!", "(") and not path.steps:
        return _parse_call(scanner, alias, path.column)
    if scanner.text.startswith((".sum()", ".avg()", ".min()", ".max()", ".count()"), scanner.position):
        raise refuse_feature("aggregate functions other than count()")
    return Column(path, alias, _parse_cast(scanner))


def _parse_alias(scanner: Scanner) -> str | None:
    start = scanner.position
    alias = scanner.name()
    if scanner.match(ALIAS):
        return alias
    scanner.position = start
    return None


def _parse_cast(scanner: Scanner) -> str | None:
    if not scanner.accept("::"):
        return None
    found = scanner.match(TYPE)
    if found is None:
        raise scanner.refuse("expecting a type name")
    return found.group()


def _parse_call(scanner: Scanner, alias: str | None, target: str) -> Count | Embed:
    """What has parentheses: `count()`, or an embedded table with its hints."""
    hint, inner = None, False
    while scanner.accept("!"):
        word = scanner.name()
        if word in JOINS:
            inner = JOINS[word]
        else:
            hint = word
    scanner.expect("(")
    if scanner.accept(")"):
        if target == "count" and hint is None:
            return Count(alias or target)
        return Embed(target, Node(), alias, hint, inner)
    scanner.enter()
    items = _parse_items(scanner)
    scanner.leave()
    scanner.expect(")")
    return Embed(target, Node(items=items), alias, hint, inner)
