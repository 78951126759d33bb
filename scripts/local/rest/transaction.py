"""One request, one transaction: role and claims, then the statement, in one round trip where nothing is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from psycopg.pq.abc import PGresult

from scripts.local.rest.binding import Value, bind_text
from scripts.local.rest.connections import ConnectionPool
from scripts.local.rest.pipeline import Command, Pipeline
from scripts.local.rest.schema import CATALOG_SQL

BEGIN, BEGIN_READ_ONLY, COMMIT = Command(b"begin"), Command(b"begin read only"), Command(b"commit")
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

    def settings(self, timeout: str) -> Command:
        """SETTINGS with its values, in their order."""
        texts = (timeout, self.claims, self.method, self.path, self.headers, self.cookies, self.role)
        return Command(SETTINGS, [bind_text(text) for text in texts])


@dataclass(frozen=True, slots=True)
class Row:
    """What every statement returns: a JSON body, how many rows it holds, and of how many in all where counted."""

    body: bytes | None
    rows: int
    total: int | None = None
    headers: bytes | None = None
    status: bytes | None = None
    inserted: int | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement returning one Row; `check` may refuse the result, and then nothing of it stays."""

    text: bytes
    values: list[Value]
    read_only: bool = False
    check: Callable[[Row], None] | None = field(default=None)


def run_statement(pool: ConnectionPool, identity: Identity, statement: Statement, timeout: str) -> Row:
    """Runs the statement as the identity and commits; rolls back on any error."""
    settings = identity.settings(timeout)
    with pool.borrow() as pipeline:
        try:
            return _run(pipeline, settings, statement)
        except BaseException:
            _roll_back(pipeline)
            raise


def read_catalog(pool: ConnectionPool) -> dict[str, Any]:
    """The document of CATALOG_SQL."""
    with pool.borrow() as pipeline, pipeline.connection.transaction():
        connection = pipeline.connection
        connection.execute("set local search_path = ''")
        row = connection.execute(CATALOG_SQL.encode()).fetchone()
    document: dict[str, Any] = orjson.loads(row[0] if row else b"{}")
    return document


def _run(pipeline: Pipeline, settings: Command, statement: Statement) -> Row:
    commands = [
        BEGIN_READ_ONLY if statement.read_only else BEGIN,
        settings,
        Command(statement.text, statement.values),
    ]
    if statement.check is None:
        return _read_row(pipeline.run([*commands, COMMIT])[2])
    row = _read_row(pipeline.run(commands)[2])
    statement.check(row)
    pipeline.run([COMMIT])
    return row


def _read_row(result: PGresult) -> Row:
    if result.ntuples == 0:
        return Row(None, 0)
    body, rows, total, headers, status, inserted = (result.get_value(0, column) for column in range(6))
    new = None if inserted is None else int(inserted)
    return Row(body, int(rows or 0), None if total is None else int(total), headers, status, new)


def _roll_back(pipeline: Pipeline) -> None:
    try:
        pipeline.connection.rollback()
    except psycopg.Error:
        pipeline.connection.close()
