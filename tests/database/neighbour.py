"""A small organization beside one that has thousands of rows of everything, and what a call of the small one reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.sql import Composed
from psycopg.types.json import Jsonb

from scripts.local.data_folder import DataFolder, database_url
from tests.database.estate import build_estate, list_tables, read_statements
from tests.stack import Stack

MANY, INTEGRATIONS = 5_000, 900
OF_ONE_KIND = INTEGRATIONS // 3
TIMES = 6
"""How often Postgres is asked before it keeps a plan."""

TOKEN = "00000000-0000-4000-8000-00000000701e"
"""What every lease of an estate holds."""

OF_THE_PLATFORM = frozenset(
    {
        "public.organizations",
        "public.organization_members",
        "private.alert_kinds",
        "private.budgets",
        "private.clocks",
        "private.device_statuses",
        "private.heartbeats",
        "private.job_kinds",
        "private.judgements",
        "private.operators",
        "private.options",
        "private.prune_marks",
        "private.quotas",
        "private.retention",
        "private.vault_keys",
    }
)
"""Tables that no organization fills."""

WHOSE = {
    "private.webhook_sends": "integration_id in (select id from device_integrations where organization_id = %(id)s)",
    "private.job_sightings": "job_id in (select id from integration_jobs where organization_id = %(id)s)",
    "private.device_token_hashes": "token_id in (select id from device_tokens where organization_id = %(id)s)",
}
"""Of tables that don't say it themselves."""

COLUMNS = """
select a.attname, format_type(a.atttypid, null), exists (
         select from pg_index i where i.indrelid = a.attrelid and i.indisunique and a.attnum = any (i.indkey))
       and not exists (
         select from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'c'
            and k.conkey = array[a.attnum] and pg_get_constraintdef(k.oid) like '%%ANY (ARRAY%%')
  from pg_attribute a
 where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped and a.attidentity = '' and a.attgenerated = ''
"""
SUMMARIZE = """
select count(brin_summarize_new_values(c.oid)) from pg_class c join pg_am a on a.oid = c.relam
 where a.amname = 'brin' and c.relkind = 'i' and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
"""
READ = """
select sum(pg_stat_get_xact_tuples_returned(c.oid)
           + case c.relkind when 'r' then pg_stat_get_xact_tuples_fetched(c.oid) else 0 end)::integer,
       sum(pg_stat_get_xact_blocks_fetched(c.oid))::integer
  from pg_class c where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'i')
"""


class Column(NamedTuple):
    """One that is written, and whether no two rows may have the same in it, with others or alone."""

    name: str
    kind: str
    is_unique: bool


class Reads(NamedTuple):
    """How many rows and entries of indexes were looked at, and how many pages."""

    rows: int
    pages: int

    def __sub__(self, other: Reads) -> Reads:
        """What was read since the other."""
        return Reads(self.rows - other.rows, self.pages - other.pages)


@dataclass(frozen=True)
class Small:
    """The small organization and its owner, on one connection, all of whose work is taken back in the end."""

    connection: psycopg.Connection[Any]
    ids: dict[str, str]
    user: str

    def act(self, role: LiteralString) -> None:
        """Become its owner (authenticated), or the service."""
        claims = Jsonb({"role": role, "sub": self.user} if role == "authenticated" else {"role": role})
        self.connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", [claims])
        self.connection.execute("select set_config('role', %s, true)", [role])

    def read(
        self, role: LiteralString, statement: LiteralString | Composed, values: list[str] | None = None
    ) -> Reads:
        """What a statement reads, which is taken back; without `values` it names the ids."""
        with self.connection.transaction(force_rollback=True):
            self.act(role)
            before = count_reads(self.connection)
            if values is None:
                self.connection.execute(statement, self.ids)
            else:
                # As PostgREST asks: prepared once, with its values beside it.
                psycopg.Cursor(self.connection).execute(statement, values, prepare=True)
            return count_reads(self.connection) - before


def count_reads(connection: psycopg.Connection[Any]) -> Reads:
    """What this transaction has read until now."""
    row = connection.execute(READ).fetchone()
    return Reads(*row) if row else Reads(0, 0)


@contextmanager
def open_small(stack: Stack) -> Iterator[Small]:
    """An organization with a row of everything, on a platform where nothing else is, as on its first day."""
    folder = DataFolder(stack.functions_env.parent)
    # Who may pass over triggers, so that thousands of rows are made in seconds.
    url = database_url(folder.load_credentials(), folder.load_ports().postgres, "supabase_admin")
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("update private.budgets set per_minute = 0")
        connection.execute("update private.quotas set most = 1000000")
        _empty_tables(connection)
        owner, guest = stack.user("owner", 0), stack.user("owner", 1)
        ids = _build_all(connection, str(owner.organization_id), user=owner.id, guest=guest.id)
        yield Small(connection, ids, owner.id)
        connection.rollback()


def add_neighbour(small: Small) -> None:
    """Another organization, and of each row that it has some thousands, of which nothing is known yet."""
    connection = small.connection
    connection.execute("reset role")
    made = connection.execute("insert into organizations (name) values ('Large') returning id").fetchone()
    assert made is not None
    large = str(made[0])
    _build_all(connection, large, user=small.ids["guest"], guest=small.user)
    connection.execute("set local session_replication_role = replica")
    for schema, name in list_tables(connection):
        table = f"{schema}.{name}"
        if table not in OF_THE_PLATFORM:
            _multiply_rows(connection, table, large)
    connection.execute("set local session_replication_role = origin")
    connection.execute(SUMMARIZE)


def _empty_tables(connection: psycopg.Connection[Any]) -> None:
    connection.execute("set local session_replication_role = replica")
    tables = {f"{schema}.{name}" for schema, name in list_tables(connection)} | {"private.rate_limits"}
    connection.execute(f"truncate {', '.join(sorted(tables - OF_THE_PLATFORM))}".encode())
    # What was learned of them by whatever ran before is no part of a first day.
    connection.execute(
        "delete from pg_statistic s using pg_class c"
        " where c.oid = s.starelid and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)"
    )
    connection.execute("set local session_replication_role = origin")


def _build_all(connection: psycopg.Connection[Any], organization: str, **names: str) -> dict[str, str]:
    """The ids of an estate and of what calls.sql adds to it."""
    ids = build_estate(connection, organization).ids | {"lease": TOKEN} | names
    for name, statement in read_statements("calls.sql", "row"):
        row = connection.execute(statement, ids).fetchone()
        assert row is not None
        ids[name] = str(row[0])
    return ids


def _multiply_rows(connection: psycopg.Connection[Any], table: str, organization: str) -> None:
    """Half of them are of the same integration, half of others."""
    columns = [Column(*row) for row in connection.execute(COLUMNS, (table,)).fetchall()]
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_choose_value(column) for column in columns)
    whose = WHOSE.get(table, "organization_id = %(id)s")
    many = INTEGRATIONS if table == "public.device_integrations" else MANY
    if table not in WHOSE and "organization_id" not in {column.name for column in columns}:
        return
    connection.execute(
        f"insert into {table} ({names}) select {values}"
        f" from (select *, count(*) over () as of_it from {table} where {whose}) t"
        f" cross join lateral generate_series(1, {many} / t.of_it) n on conflict do nothing".encode(),
        {"id": organization},
    )


def _choose_value(column: Column) -> str:
    name, kind, is_unique = column
    value = f"t.{name}"
    if name == "organization_id" or name.endswith("lease_token"):
        return value
    if name == "integration_id":
        return f"case when n %% 2 = 0 then {value} else md5({value}::text || (1 + n / 2 %% {OF_ONE_KIND}))::uuid end"
    if kind == "uuid":
        return f"md5({value}::text || n)::uuid"
    if name == "due_at":
        return f"{value} - n %% 3 * interval '10 minutes'"
    if is_unique and kind == "text" and name != "kind":
        hashed = f"encode(sha256(({value} || n)::bytea), 'hex')"
        return f"case length({value}) when 64 then {hashed} else {value} || '-' || n end"
    return f"{value} - n * interval '1 minute'" if is_unique and name in {"at", "minute"} else value
