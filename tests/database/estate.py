"""An organization with a row in every table, and what can be said of all its rows at once."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg.sql import SQL, Identifier

CANARY = "canary-estate"
"""In every text and document of the estate: nobody else may ever see it."""

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def read_statements(name: str, mark: str) -> list[tuple[str, LiteralString]]:
    """The statements of a file beside this one, each under the word of its comment `-- mark: word`."""
    text = (Path(__file__).parent / name).read_text("utf-8")
    found = re.findall(rf"-- {mark}: (\w+)\n(.*?);\n(?:\n|$)", text, re.DOTALL)
    return [(word, cast("LiteralString", statement)) for word, statement in found]


ROWS = dict(read_statements("estate.sql", "row"))


@dataclass(frozen=True)
class Estate:
    """The ids of the rows, by their names in ROWS."""

    connection: psycopg.Connection[Any]
    ids: dict[str, str]

    @property
    def organization(self) -> str:
        """Whose it is."""
        return self.ids["organization"]

    def every_id(self) -> list[str]:
        """Each id that any row of it has ever had."""
        return sorted({found for row in self.rows() for found in UUID.findall(row)} | set(self.ids.values()))

    def rows(self) -> list[str]:
        """All rows of the organization, in every table, as JSON."""
        return [
            row
            for schema, table in list_tables(self.connection)
            for row in read_rows(self.connection, schema, table)
            if self.organization in row
        ]

    def tables(self) -> list[tuple[str, str]]:
        """Schema and name of each table that has a row of the organization."""
        return [
            (schema, table)
            for schema, table in list_tables(self.connection)
            if any(self.organization in row for row in read_rows(self.connection, schema, table))
        ]


def build_estate(connection: psycopg.Connection[Any], organization: str) -> Estate:
    """One row of everything; as the owner of the tables, through a cursor that puts values into the text."""
    ids = {"organization": organization}
    for name, statement in ROWS.items():
        row = connection.execute(statement, {**ids, "canary": CANARY}).fetchone()
        assert row is not None
        ids[name] = str(row[0])
    return Estate(connection, ids)


def list_tables(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Schema and name of each table, without partitions and what only counts calls."""
    return connection.execute(
        "select relnamespace::regnamespace::text, relname from pg_class"
        " where relnamespace in ('public'::regnamespace, 'private'::regnamespace) and relkind in ('r', 'p')"
        " and not relispartition and relname <> 'rate_limits' order by 1, 2"
    ).fetchall()


def read_rows(connection: psycopg.Connection[Any], schema: str, table: str) -> list[str]:
    """Every row of a table as JSON."""
    statement = SQL("select to_jsonb(t)::text from {}.{} t").format(Identifier(schema), Identifier(table))
    return [row[0] for row in connection.execute(statement).fetchall()]


def never_used() -> str:
    """An id that nothing has."""
    return str(uuid.uuid4())
