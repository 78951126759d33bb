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
    for view, by_table in shown.items():
        row = next(row for row in document["tables"] if row["name"] == view)
        for table, names in by_table.items():
            base = next(row for row in document["tables"] if row["name"] == table)
            row["primary_key"] = row["primary_key"] or _rename(base["primary_key"] or [], names) or None
            row["unique"] = [
                *(row["unique"] or ()),
                *filter(None, (_rename(columns, names) for columns in base["unique"] or ())),
            ]
    document["foreign_keys"] += [key for row in document["foreign_keys"] for key in _copy_key(row, shown)]


def _trace(view: Row, tables: dict[int, Row]) -> dict[str, Names]:
    """By table, its columns' names in the view; through views on views."""
    found: dict[str, Names] = {}
    for name, oid, number in _list_targets(view):
        table = tables.get(oid)
        column = (
            next((each["name"] for each in table["columns"] if each["number"] == number), None)
            if table
            else None
        )
        if table is None or column is None:
            continue
        if table["query"]:
            below = [
                (base, key)
                for base, names in _trace(table, tables).items()
                for key, to in names.items()
                if to == column
            ]
        else:
            below = [(table["name"], column)]
        for base, key in below:
            found.setdefault(base, {}).setdefault(key, name)
    return found


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
    sides = [
        [(key[table], key[columns])]
        + [
            (view, renamed)
            for view, by_table in shown.items()
            if (renamed := _rename(key[columns], by_table.get(key[table], {})))
        ]
        for table, columns in (("table", "columns"), ("referenced_table", "referenced_columns"))
    ]
    for (table, columns), (referenced, there) in list(product(*sides))[1:]:
        yield key | {
            "table": table,
            "columns": columns,
            "referenced_table": referenced,
            "referenced_columns": there,
        }


def _rename(columns: list[str], names: Names) -> list[str]:
    """The columns as the view calls them; nothing where it does not show them all."""
    return [names[column] for column in columns] if all(column in names for column in columns) else []
