"""What is granted is what the table says, no more and no less."""

from __future__ import annotations

from tests.database.grants import read_granted, read_listed
from tests.stack import Stack

NEEDED = """
with used as (
  select i.indrelid as of_it, d.refobjid as called from pg_depend d join pg_index i on i.indexrelid = d.objid
   where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_proc'::regclass
  union
  select k.conrelid, d.refobjid from pg_depend d join pg_constraint k on k.oid = d.objid
   where d.classid = 'pg_constraint'::regclass and d.refclassid = 'pg_proc'::regclass
  union
  select a.adrelid, d.refobjid from pg_depend d join pg_attrdef a on a.oid = d.objid
   where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_proc'::regclass
)
select r.name || ' | ' || u.of_it::regclass || ' | ' || u.called::regproc,
       has_function_privilege(r.name, u.called, 'execute')
  from used u cross join (values ('authenticated'), ('service_role')) r(name)
 where has_any_column_privilege(r.name, u.of_it, 'insert, update')
"""


def test_nobody_may_do_more_or_less_than_the_table_says(stack: Stack) -> None:
    with stack.connect() as connection:
        granted = read_granted(connection)

    listed = read_listed()
    assert [line for line in granted if line not in listed] == []
    assert [line for line in listed if line not in granted] == []


def test_the_table_is_sorted_and_has_each_line_once() -> None:
    listed = read_listed()

    assert listed == sorted(set(listed))


def test_whoever_is_not_signed_in_may_do_nothing() -> None:
    assert [line for line in read_listed() if line.startswith(("anon ", "everybody "))] == []


def test_nobody_may_use_a_sequence_empty_a_table_or_hang_anything_on_it() -> None:
    words = ("_seq", "truncate", "references", "trigger", "usage, ")

    assert [line for line in read_listed() if any(word in line for word in words)] == []


def test_whoever_writes_a_table_may_call_what_its_indexes_and_defaults_are_made_with(stack: Stack) -> None:
    with stack.connect() as connection:
        needed: dict[str, bool] = dict(connection.execute(NEEDED).fetchall())

    assert "authenticated | devices | private.hardware_keys" in needed
    assert [line for line, is_granted in needed.items() if not is_granted] == []
