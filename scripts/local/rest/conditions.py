"""Parses filters and orders: `age=gte.18`, `or=(a.eq.1,not.and(b.is.null,c.in.(1,2)))`, `order=a.desc.nullslast`."""

from __future__ import annotations

import re

from scripts.local.rest.errors import refuse_feature, refuse_syntax
from scripts.local.rest.nodes import Condition, Logic, Order, Path
from scripts.local.rest.scanner import Scanner

OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "in": "in",
    "is": "is",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
QUANTIFIABLE = {"eq", "like", "ilike", "gt", "gte", "lt", "lte", "match", "imatch"}
FULL_TEXT = {"fts", "plfts", "phfts", "wfts"}
IS_VALUES = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
OPERATOR = re.compile(r"(not\.)?([a-z]+)(?:\(([^)]*)\))?\.")
LOGIC = re.compile(r"(not\.)?(and|or)\(")
ORDER_WORD = re.compile(r"\.(asc|desc|nullsfirst|nullslast)(?=[.,]|$)")


def parse_condition(path: Path, text: str) -> Condition:
    """One filter of the query string, its value reaching to the end."""
    scanner = Scanner("filter", text)
    negated, operator, quantifier = _parse_operator(scanner)
    return Condition(path, operator, _checked(operator, text[scanner.position :], text), negated, quantifier)


def parse_logic(key: str, text: str) -> Logic:
    """The value of `and`, `or`, `not.and` or `not.or`."""
    scanner = Scanner("logic tree", text)
    scanner.expect("(")
    terms = _parse_terms(scanner)
    if not scanner.at_end():
        raise scanner.refuse("expecting the end")
    return Logic(key.removeprefix("not."), terms, key.startswith("not."))


def parse_order(text: str) -> list[Order]:
    """The value of `order`."""
    scanner = Scanner("order", text)
    orders = [_parse_order_term(scanner)]
    while scanner.accept(","):
        orders.append(_parse_order_term(scanner))
    if not scanner.at_end():
        raise scanner.refuse("expecting asc, desc, nullsfirst or nullslast")
    return orders


def split_values(text: str) -> list[str]:
    """The members of an `in` list: `(1,"two, three",4)`."""
    scanner = Scanner("list", text)
    scanner.expect("(")
    if text == "()":
        return []
    values = [_parse_member(scanner)]
    while scanner.accept(","):
        values.append(_parse_member(scanner))
    scanner.expect(")")
    if not scanner.at_end():
        raise scanner.refuse("expecting the end")
    return values


def _parse_member(scanner: Scanner) -> str:
    quoted = scanner.quoted()
    if quoted is not None:
        return quoted
    found = scanner.match(re.compile(r"[^,)]*"))
    return "" if found is None else found.group()


def _parse_terms(scanner: Scanner) -> tuple[Condition | Logic, ...]:
    scanner.enter()
    terms = [_parse_term(scanner)]
    while scanner.accept(","):
        terms.append(_parse_term(scanner))
    scanner.leave()
    scanner.expect(")")
    return tuple(terms)


def _parse_term(scanner: Scanner) -> Condition | Logic:
    scanner.match(re.compile(r"\s*"))
    logic = scanner.match(LOGIC)
    if logic is not None:
        return Logic(logic.group(2), _parse_terms(scanner), logic.group(1) is not None)
    path = scanner.path()
    scanner.expect(".")
    negated, operator, quantifier = _parse_operator(scanner)
    start = scanner.position
    quoted = scanner.quoted()
    if quoted is None or not _at_term_end(scanner):
        scanner.position = start
        quoted = scanner.until(",)")
    return Condition(path, operator, _checked(operator, quoted, scanner.text), negated, quantifier)


def _at_term_end(scanner: Scanner) -> bool:
    return scanner.text[scanner.position : scanner.position + 1] in (",", ")")


def _parse_operator(scanner: Scanner) -> tuple[bool, str, str | None]:
    found = scanner.match(OPERATOR)
    if found is None:
        raise scanner.refuse("expecting an operator (eq, gt, ...) and a dot")
    negated, operator, argument = found.group(1) is not None, found.group(2), found.group(3)
    if operator in FULL_TEXT:
        raise refuse_feature(f"full-text search ({operator})")
    if operator not in OPERATORS:
        raise scanner.refuse(f'unknown operator "{operator}", expecting one of {", ".join(OPERATORS)}')
    if argument is not None and (argument not in ("any", "all") or operator not in QUANTIFIABLE):
        raise scanner.refuse(f'"{operator}({argument})" is not an operator')
    return negated, operator, argument


def _checked(operator: str, value: str, text: str) -> str:
    if operator == "is" and value.lower() not in IS_VALUES:
        raise refuse_syntax("filter", text, f"expecting is.{' or is.'.join(IS_VALUES)}")
    if operator == "in":
        split_values(value)
    return value


def _parse_order_term(scanner: Scanner) -> Order:
    path, embedded = scanner.path(), ""
    if scanner.accept("("):
        embedded, path = path.column, scanner.path()
        scanner.expect(")")
    words = []
    while found := scanner.match(ORDER_WORD):
        words.append(found.group(1))
    directions = [word for word in words if word in ("asc", "desc")]
    nulls = [word for word in words if word.startswith("nulls")]
    return Order(path, "".join(directions[-1:]), "".join(nulls[-1:]), embedded)
