"""The schema cache: what `public` exposes, read once from pg_catalog and again when something is missing from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.local.rest.views import add_views

CATALOG_SQL = (Path(__file__).parent / "catalog.sql").read_text(encoding="utf-8")
RELOAD_SECONDS = 0.05
LONGEST_TIMEOUT = "30s"
USUAL_CALLS = 4


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column; `type` and `default` are SQL from the catalog, fully qualified."""

    name: str
    number: int
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view of `public`; `unique` holds the column sets of its primary and unique keys."""

    name: str
    columns: dict[str, TableColumn] = field(hash=False)
    primary_key: tuple[str, ...]
    unique: frozenset[frozenset[str]]
    is_view: bool


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key between two tables of `public`."""

    name: str
    table: str
    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """An input argument; its name is empty where the function gives it none."""

    name: str
    type: str
    required: bool
    variadic: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `public`; `returns` is `void`, `value` or `row`, `row_of` the table whose rows it returns.

    `returns_one` where it says itself that it returns no more than one.
    """

    name: str
    arguments: tuple[Argument, ...]
    returns_set: bool
    returns: str
    row_of: str | None
    returns_one: bool
    volatile: bool


UsualCall = tuple[Function, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Schema:
    """One reading of the catalog."""

    tables: dict[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    functions: dict[str, tuple[Function, ...]]
    timeout: str
    timeouts: dict[str, str]
    # By the name of an rpc: the functions and keys it was called with lately, those with the most keys first.
    usual_calls: dict[str, tuple[UsualCall, ...]] = field(default_factory=dict)

    def remember_call(self, name: str, function: Function, keys: tuple[str, ...]) -> None:
        """Lets later calls guess that they are made like this one."""
        known = (call for call in self.usual_calls.get(name, ()) if set(call[1]) != set(keys))
        latest = [(function, keys), *known][:USUAL_CALLS]
        self.usual_calls[name] = tuple(sorted(latest, key=lambda call: -len(call[1])))

    def timeout_of(self, role: str) -> str:
        """How long a statement may take: the role's own setting, else that of the login, else a bound of ours."""
        return self.timeouts.get(role) or (LONGEST_TIMEOUT if self.timeout == "0" else self.timeout)


class SchemaCache:
    """The newest reading; `read` runs CATALOG_SQL and returns its document."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._schema: Schema | None = None
        self._read_at = -RELOAD_SECONDS

    def current(self) -> Schema:
        """The cached schema; reads it at the first call."""
        return self._schema or self.reload()

    def reload(self) -> Schema:
        """A reading begun after this call, shared by all who wait for it.

        Readings are spaced: clients asking for what is not there must not cost the database a reading each.
        """
        asked = time.monotonic()
        with self._lock:
            if self._schema is None or self._read_at < asked:
                time.sleep(max(0.0, self._read_at + RELOAD_SECONDS - time.monotonic()))
                started = time.monotonic()
                self._schema = parse_schema(self._read())
                self._read_at = started
            return self._schema


def parse_schema(document: dict[str, Any]) -> Schema:
    """Builds the cache from the document CATALOG_SQL returns."""
    add_views(document)
    functions: dict[str, tuple[Function, ...]] = {}
    for row in document["functions"]:
        functions[row["name"]] = (*functions.get(row["name"], ()), _parse_function(row))
    return Schema(
        {row["name"]: _parse_table(row) for row in document["tables"]},
        tuple(_parse_foreign_key(row) for row in document["foreign_keys"]),
        functions,
        document["timeout"],
        document["timeouts"],
    )


def _parse_table(row: dict[str, Any]) -> Table:
    return Table(
        row["name"],
        {column["name"]: TableColumn(**column) for column in row["columns"]},
        tuple(row["primary_key"] or ()),
        frozenset(frozenset(columns) for columns in row["unique"] or ()),
        row["query"] is not None,
    )


def _parse_foreign_key(row: dict[str, Any]) -> ForeignKey:
    return ForeignKey(
        row["name"],
        row["table"],
        tuple(row["columns"]),
        row["referenced_table"],
        tuple(row["referenced_columns"]),
    )


def _parse_function(row: dict[str, Any]) -> Function:
    arguments = tuple(Argument(**argument) for argument in row.pop("arguments"))
    return Function(arguments=arguments, **row)
