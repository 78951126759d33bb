"""Parses a whole query string into a tree of nodes, each filter finding the table it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.local.rest.conditions import parse_condition, parse_logic, parse_order
from scripts.local.rest.errors import RestError, refuse_syntax
from scripts.local.rest.nodes import Node, Path
from scripts.local.rest.scanner import Scanner
from scripts.local.rest.select import parse_select

WINDOW = ("limit", "offset")
LOGIC = ("and", "or")
MAX_BIGINT = 2**63 - 1


@dataclass(slots=True)
class Query:
    """The query string of one request; `columns` and `on_conflict` are None where not given."""

    node: Node
    columns: list[str] | None = None
    on_conflict: list[str] | None = None


def parse_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Reads the pairs of a query string; 400 PGRST100 for what can't be read."""
    given = list(pairs)
    if any("\0" in key + value for key, value in given):
        raise refuse_syntax("query string", "...", "a NUL character can't be part of it")
    query = Query(parse_select(dict(given).get("select", "")))
    for key, value in given:
        if key == "columns":
            query.columns = _parse_names(key, value)
        elif key == "on_conflict":
            query.on_conflict = _parse_names(key, value)
        elif key != "select":
            _apply(query.node, key, value)
    return query


def parse_key(key: str) -> tuple[list[str], Path]:
    """Splits `embedded.column->>key` into the tables on the way and the path."""
    scanner = Scanner("filter name", key)
    paths = [scanner.path()]
    while scanner.accept("."):
        paths.append(scanner.path())
    if not scanner.at_end():
        raise scanner.refuse("expecting a dot or the end")
    return [path.column for path in paths[:-1]], paths[-1]


def _parse_names(key: str, text: str) -> list[str]:
    scanner = Scanner(f"{key} parameter", text)
    if not text:
        return []
    names = [scanner.name()]
    while scanner.accept(","):
        names.append(scanner.name())
    if not scanner.at_end():
        raise scanner.refuse("expecting a comma or the end")
    return names


def _apply(node: Node, key: str, value: str) -> None:
    tables, path = parse_key(key)
    negation = "not." if tables and tables[-1] == "not" and path.column in LOGIC else ""
    node = _find_node(node, tables[:-1] if negation else tables)
    if path.steps:
        node.where.append(parse_condition(path, value))
    elif path.column in LOGIC:
        node.where.append(parse_logic(negation + path.column, value))
    elif path.column == "order":
        node.order = parse_order(value)
    elif path.column in WINDOW:
        _apply_window(node, path.column, value)
    else:
        node.where.append(parse_condition(path, value))


def _apply_window(node: Node, key: str, value: str) -> None:
    try:
        number = int(value)
    except ValueError:
        raise refuse_syntax(f"{key} parameter", value, "expecting a whole number") from None
    if abs(number) > MAX_BIGINT:
        raise refuse_syntax(f"{key} parameter", value, "the number is too large")
    if key == "offset":
        node.offset = max(number, 0)
    elif number < 0:
        raise RestError(
            416,
            "PGRST103",
            "Requested range not satisfiable",
            details="Limit should be greater than or equal to zero.",
        )
    else:
        node.limit = number


def _find_node(node: Node, tables: list[str]) -> Node:
    for table in tables:
        found = [embed for embed in node.embeds() if table in (embed.alias, embed.target)]
        if not found:
            raise RestError(
                400,
                "PGRST108",
                f"'{table}' is not an embedded resource in this request",
                hint=f"Verify that '{table}' is included in the 'select' query parameter.",
            )
        node = found[0].node
    return node
