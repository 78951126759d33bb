"""A row for each table without one: values by type, references to rows that are there, the first word of a check."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import psycopg

COLUMNS = """
select a.attname, format_type(a.atttypid, null), c.confrelid::regclass::text, f.attname,
       (select string_agg(pg_get_constraintdef(k.oid), ' ') from pg_constraint k
         where k.conrelid = a.attrelid and k.contype = 'c' and k.conkey = array[a.attnum])
  from pg_attribute a
  left join lateral (
    select k.confrelid, k.confkey[array_position(k.conkey, a.attnum)] as attnum from pg_constraint k
     where k.conrelid = a.attrelid and k.contype = 'f' and a.attnum = any (k.conkey)
     order by cardinality(k.conkey) desc limit 1) c on true
  left join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.attnum
 where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
   and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
"""
VALUES = {
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "date_trunc('minute', now())",
    "date": "current_date",
    "boolean": "true",
    "jsonb": "'{}'",
    "bytea": "sha256('x')",
}
TEXTS = ("'x'", "encode(sha256('x'), 'hex')")
"""What a text may be, for one check or another."""

_WORD = re.compile(r"ANY \(\(?ARRAY\['([^']*)'")


class Column(NamedTuple):
    """One that an insert has to name: what it refers to, and what its checks say."""

    name: str
    kind: str
    target: str | None
    key: str | None
    rule: str | None


def invent_row(connection: psycopg.Connection[Any], table: str, organization: str) -> None:
    """Insert it; psycopg.Error where the table wants more than can be guessed, which is for rows.sql then."""
    columns = [Column(*row) for row in connection.execute(COLUMNS, (table,)).fetchall()]
    names = ", ".join(column.name for column in columns)
    for text in TEXTS:
        values = ", ".join(_choose_value(column, organization, text) for column in columns)
        insert = (
            f"insert into {table} ({names}) values ({values})"
            if columns
            else f"insert into {table} default values"
        )
        try:
            with connection.transaction():
                connection.execute(insert.encode())
        except psycopg.errors.CheckViolation:
            if text == TEXTS[-1]:
                raise
        else:
            return


def _choose_value(column: Column, organization: str, text: str) -> str:
    if column.name == "organization_id":
        return f"'{organization}'"
    if column.target:
        # The same row for each column of a key.
        own = (
            f"from {column.target} t where to_jsonb(t)::text like '%{organization}%' order by t::text limit 1"
        )
        return f"(select t.{column.key} {own})"
    if word := _WORD.search(column.rule or ""):
        return f"'{word[1]}'"
    return (
        text
        if column.kind == "text"
        else VALUES.get(column.kind, "'{}'" if column.kind.endswith("[]") else "'1'")
    )
