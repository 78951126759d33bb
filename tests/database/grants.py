"""Who may do what on which table, column and function: `grants.txt` says it, and this reads what the database says."""

from __future__ import annotations

from pathlib import Path

import psycopg

LISTED = Path(__file__).parent / "grants.txt"
"""Functions stand there without what they take, but where there are several of a name."""

GRANTED = """
with roles as (
  select oid, rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role')
  union all select 0, 'everybody'
),
spaces as (select oid, nspname from pg_namespace where nspname in ('public', 'private'))
select r.rolname, s.nspname || '.' || c.relname, lower(string_agg(a.privilege_type, ', ' order by a.privilege_type))
  from pg_class c join spaces s on s.oid = c.relnamespace
  cross join lateral aclexplode(c.relacl) a join roles r on r.oid = a.grantee
 where not c.relispartition group by 1, 2
union all
select r.rolname, s.nspname || '.' || c.relname,
       lower(a.privilege_type) || ' (' || string_agg(t.attname, ', ' order by t.attname) || ')'
  from pg_attribute t join pg_class c on c.oid = t.attrelid join spaces s on s.oid = c.relnamespace
  cross join lateral aclexplode(t.attacl) a join roles r on r.oid = a.grantee
 where not c.relispartition group by 1, 2, a.privilege_type
union all
select r.rolname,
       s.nspname || '.' || p.proname || '(' || case when (
         select count(*) from pg_proc o where o.proname = p.proname and o.pronamespace = p.pronamespace) > 1
         then oidvectortypes(p.proargtypes) else '' end || ')',
       'execute'
  from pg_proc p join spaces s on s.oid = p.pronamespace
  cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a join roles r on r.oid = a.grantee
union
select r.rolname, 'schema ' || n.nspname, lower(a.privilege_type)
  from pg_namespace n cross join lateral aclexplode(n.nspacl) a join roles r on r.oid = a.grantee
 where n.nspname = 'private'
"""


def read_listed() -> list[str]:
    """The lines of the file, `role | object | privileges`, without its comments."""
    lines = LISTED.read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def read_granted(connection: psycopg.Connection) -> list[str]:
    """The same of the database, sorted."""
    return sorted({" | ".join(row) for row in connection.execute(GRANTED).fetchall()})
