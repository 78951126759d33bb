"""What holds for the schema as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.local.migrations import apply_migrations
from scripts.local.stack import ROOT
from tests.stack import Serve, Stack

MIGRATIONS = ROOT / "supabase" / "migrations"
GRANTS = [file for file in MIGRATIONS.glob("*.sql") if file.stem.endswith("_grants")]

UNCOMMENTED = """
select p.oid::regprocedure::text from pg_proc p
 where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace) and obj_description(p.oid, 'pg_proc') is null
union all
select c.oid::regclass::text from pg_class c
 where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p', 'v')
   and not c.relispartition and obj_description(c.oid, 'pg_class') is null
"""
OPEN = """
select r.rolname, c.oid::regclass::text
  from pg_class c, pg_roles r
 where r.rolname in ('anon', 'authenticated', 'service_role') and c.relkind in ('r', 'p', 'v', 'S')
   and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
   and case c.relkind
         when 'S' then has_sequence_privilege(r.oid, c.oid, 'usage, select, update')
         else has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger')
              or has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references') end
union all
select r.rolname, p.oid::regprocedure::text
  from pg_proc p, pg_roles r
 where r.rolname in ('anon', 'authenticated', 'service_role')
   and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
   and has_function_privilege(r.oid, p.oid, 'execute')
"""


def test_every_table_and_function_says_what_it_is(stack: Stack) -> None:
    with stack.connect() as connection:
        assert connection.execute(UNCOMMENTED).fetchall() == []


def test_nothing_is_open_before_the_grants_open_it(new_serve: Callable[..., Serve], tmp_path: Path) -> None:
    for file in MIGRATIONS.glob("*.sql"):
        if file not in GRANTS:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    fresh = new_serve("--migrations", str(tmp_path)).start()

    with fresh.connect() as connection:
        left_open = connection.execute(OPEN).fetchall()

    assert left_open == []
    assert len(apply_migrations(fresh.db_url, MIGRATIONS)) == len(GRANTS)


CALLS = """
select r.rolname, p.oid::regprocedure::text, c.oid::regprocedure::text
  from pg_proc p
  cross join pg_roles r
  cross join lateral regexp_matches(p.prosrc, '(public|private)[.](\\w+)\\(', 'g') m
  join pg_proc c on c.pronamespace::regnamespace::text = m[1] and c.proname = m[2]
 where r.rolname in ('authenticated', 'service_role') and not p.prosecdef and p.prorettype <> 'trigger'::regtype
   and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
   and has_function_privilege(r.oid, p.oid, 'execute') and not has_function_privilege(r.oid, c.oid, 'execute')
"""
READS = """
select r.rolname, p.oid::regprocedure::text, c.oid::regclass::text
  from pg_proc p
  cross join pg_roles r
  cross join lateral regexp_matches(p.prosrc, '(?:from|join|into|update)\\s+(public|private)[.](\\w+)', 'g') m
  join pg_class c on c.relnamespace::regnamespace::text = m[1] and c.relname = m[2]
 where r.rolname in ('authenticated', 'service_role') and not p.prosecdef and p.prorettype <> 'trigger'::regtype
   and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
   and has_function_privilege(r.oid, p.oid, 'execute')
   and not has_any_column_privilege(r.oid, c.oid, 'select, insert, update')
"""


def test_who_may_execute_a_function_may_do_what_it_does(stack: Stack) -> None:
    # Of a function that runs as its caller; what a definer's needs, its owner has.
    with stack.connect() as connection:
        assert connection.execute(CALLS).fetchall() == []
        assert connection.execute(READS).fetchall() == []


def test_every_private_table_keeps_its_rows_from_whoever_might_be_granted_them(stack: Stack) -> None:
    with stack.connect() as connection:
        loose = connection.execute(
            "select relname from pg_class where relnamespace = 'private'::regnamespace and relkind in ('r', 'p')"
            " and not relrowsecurity"
        ).fetchall()

    assert loose == []
