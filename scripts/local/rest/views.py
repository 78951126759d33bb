"""What a view shows of which table's columns: by it, a view has the foreign keys and keys of the tables below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

# An output column in the text of a stored query: its number and name, and the table's column it shows unchanged.
TARGET = re.compile(r":resno (\d+) :resname (\S+) :ressortgroupref \d+ :resorigtbl (\d+) :resorigcol (\d+)")
Row = dict[str, Any]
Names = dict[str, str]


def add_views(document: dict[str, Any]) -> None:
    """Adds to the catalog's document the keys that views have by the tables they show."""
    tables = {int(row["oid"]): row for row in document["tables"]}
    shown = {row["name"]: _trace(row, tables) for row in document["tables"] if row["query"]}
    rows = {row["name"]: row for row in document["tables"]}
    for view, by_table in shown.items():
        for table, names in by_table.items():
            row, base = rows[view], rows[table]
            row["primary_key"] = row["primary_key"] or _rename(base["primary_key"] or [], names)
            unique = [_rename(columns, names) for columns in base["unique"] or ()]
            row["unique"] = [*(row["unique"] or ()), *filter(None, unique)]
    document["foreign_keys"] += [key for row in document["foreign_keys"] for key in _copy_key(row, shown)]


def _trace(view: Row, tables: dict[int, Row]) -> dict[str, Names]:
    """By table, its columns' names in the view."""
    found: dict[str, Names] = {}
    for name, oid, number in _list_targets(view):
        for base, column in _find_origins(tables[oid], number, tables) if oid in tables else ():
            found.setdefault(base, {}).setdefault(column, name)
    return found


def _find_origins(table: Row, number: int, tables: dict[int, Row]) -> Iterator[tuple[str, str]]:
    """The tables and columns that a column shows: itself, or in a view what that shows."""
    column = next(each["name"] for each in table["columns"] if each["number"] == number)
    if not table["query"]:
        yield table["name"], column
        return
    for base, names in _trace(table, tables).items():
        yield from ((base, key) for key, name in names.items() if name == column)


def _list_targets(view: Row) -> Iterator[tuple[str, int, int]]:
    """Those of the outermost query come last, its last column at the very end; others lie within expressions."""
    targets = list(TARGET.findall(view["query"]))
    for column in reversed(view["columns"]):
        while targets:
            number, name, oid, origin = targets.pop()
            if (int(number), name) == (column["number"], column["name"]):
                yield column["name"], int(oid), int(origin)
                break


def _copy_key(key: Row, shown: dict[str, dict[str, Names]]) -> Iterator[Row]:
    """The key as views have it: of a view to the table, of the table to a view, of a view to a view."""

    def list_sides(table: str, columns: list[str]) -> list[tuple[str, list[str]]]:
        views = ((view, _rename(columns, by_table.get(table, {}))) for view, by_table in shown.items())
        return [(table, columns), *((view, names) for view, names in views if names)]

    here, there = (list_sides(key[side + "table"], key[side + "columns"]) for side in ("", "referenced_"))
    for (table, columns), (referenced, referenced_columns) in list(product(here, there))[1:]:
        own = {"table": table, "columns": columns, "referenced_table": referenced}
        yield key | own | {"referenced_columns": referenced_columns}


def _rename(columns: list[str], names: Names) -> list[str]:
    """The columns as the view calls them; nothing where it does not show them all."""
    return [names[column] for column in columns] if all(column in names for column in columns) else []
