"""Applies supabase/migrations and records them as the Supabase CLI does, so that `supabase db push` agrees.

Source: pkg/migration of the repository supabase/cli.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from scripts.local.processes import StackError
from scripts.local.statements import split_statements

_FILE_NAME = re.compile(r"(\d+)_(.*)\.sql")
_HISTORY: tuple[LiteralString, ...] = (
    "create schema if not exists supabase_migrations",
    "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
    "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
    "alter table supabase_migrations.schema_migrations add column if not exists name text",
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `<version>_<name>.sql`."""

    version: str
    name: str
    file: Path


def apply_migrations(database_url: str, folder: Path) -> list[str]:
    """Applies what is not recorded yet, oldest first, each in a transaction; gives the new file names.

    Connect as `postgres`, as on Supabase. StackError names the file, line and reason of a failure.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        applied = _read_history(connection)
        pending = [found for found in list_migrations(folder) if found.version not in applied]
        for migration in pending:
            _apply(connection, migration)
    return [migration.file.name for migration in pending]


def list_migrations(folder: Path) -> list[Migration]:
    """All migrations of a folder in the order they apply."""
    matches = [(_FILE_NAME.fullmatch(file.name), file) for file in sorted(folder.glob("*.sql"))]
    return [Migration(found[1], found[2], file) for found, file in matches if found]


def _read_history(connection: psycopg.Connection) -> set[str]:
    with connection.transaction():
        for statement in _HISTORY:
            connection.execute(statement)
    rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
    return {version for (version,) in rows}


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    statements = split_statements(migration.file.read_text())
    with connection.transaction():
        for statement in statements:
            _execute(connection, statement, migration)
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements)"
            " values (%s, %s, %s)",
            (migration.version, migration.name, statements),
        )


def _execute(connection: psycopg.Connection, statement: str, migration: Migration) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.Error as error:
        where = f"line {_find_line(migration, statement, error)}"
        raise StackError(f"{migration.file.name}, {where}: {str(error).strip()}\nin: {statement}") from error


def _find_line(migration: Migration, statement: str, error: psycopg.Error) -> int:
    text = migration.file.read_text()
    offset = text.find(statement) + int(error.diag.statement_position or 1) - 1
    return text.count("\n", 0, offset) + 1
