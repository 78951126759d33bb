"""One request, one transaction: role and claims, then the statement, in one round trip where nothing is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg

from scripts.local.rest.connections import Connection, ConnectionPool
from scripts.local.rest.schema import CATALOG_SQL

SETTINGS = b"""select
  set_config('search_path', '"public", "extensions"', true),
  set_config('statement_timeout', $1, true),
  set_config('request.jwt.claims', $2, true),
  set_config('request.method', $3, true),
  set_config('request.path', $4, true),
  set_config('request.headers', $5, true),
  set_config('request.cookies', $6, true),
  set_config('role', $7, true)"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and what functions may read of the request."""

    role: str
    claims: str
    method: str
    path: str
    headers: str
    cookies: str

    def settings(self, timeout: str) -> list[str]:
        """The values of SETTINGS, in their order."""
        return [timeout, self.claims, self.method, self.path, self.headers, self.cookies, self.role]


@dataclass(frozen=True, slots=True)
class Row:
    """What every statement returns: a JSON body, how many rows it holds, and of how many in all where counted."""

    body: bytes | None
    rows: int
    total: int | None = None
    headers: bytes | None = None
    status: bytes | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement returning one Row; `check` may refuse the result, and then nothing of it stays."""

    text: bytes
    values: list[object]
    read_only: bool = False
    check: Callable[[Row], None] | None = field(default=None)


def run_statement(pool: ConnectionPool, identity: Identity, statement: Statement, timeout: str) -> Row:
    """Runs the statement as the identity and commits; rolls back on any error."""
    with pool.borrow() as connection:
        try:
            return _run(connection, identity.settings(timeout), statement)
        except BaseException:
            _roll_back(connection)
            raise


def read_catalog(pool: ConnectionPool) -> dict[str, Any]:
    """The document of CATALOG_SQL."""
    with pool.borrow() as connection, connection.transaction():
        connection.execute("set local search_path = ''")
        row = connection.execute(CATALOG_SQL.encode()).fetchone()
    document: dict[str, Any] = orjson.loads(row[0] if row else b"{}")
    return document


def _run(connection: Connection, settings: list[str], statement: Statement) -> Row:
    cursor = connection.cursor()
    with connection.pipeline():
        connection.execute(b"begin read only" if statement.read_only else b"begin")
        connection.execute(SETTINGS, settings)
        cursor.execute(statement.text, statement.values)
        if statement.check is None:
            connection.execute(b"commit")
        found = cursor.fetchone()
    row = Row(*found) if found else Row(None, 0)
    if statement.check is not None:
        statement.check(row)
        connection.execute(b"commit")
    return row


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()
