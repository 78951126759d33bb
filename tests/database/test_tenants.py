"""No organization reaches another: whatever ids it knows, before and after what had them is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.database.estate import CANARY, UUID, Estate, build_estate, never_used, read_statements
from tests.database.matrix import FUNCTIONS
from tests.database.test_row_level_security import act_as
from tests.stack import Stack

Row = dict[str, Any]
PROBES = read_statements("probes.sql", "of")
UUID_COLUMNS = """
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0
   and a.atttypid = 'uuid'::regtype and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
"""
READABLE = """
select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped
   and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
 group by 1
"""
WRITABLE = """
select c.relname, (select min(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
                      and has_column_privilege('authenticated', c.oid, a.attnum, 'update')
                      and has_column_privilege('authenticated', c.oid, a.attnum, 'select')),
       has_table_privilege('authenticated', c.oid, 'delete')
  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
"""


THEIR_ORGANIZATION: LiteralString = "insert into organizations (name) values ('canary-estate') returning id"
MY_INTEGRATION: LiteralString = (
    "insert into device_integrations (organization_id, integration_type, name)"
    " values (%(own)s, 'golioth', 'Mine') returning id"
)
MY_DEVICE: LiteralString = (
    "insert into devices (organization_id, integration_id, external_id, name)"
    " values (%(own)s, %(mine)s, 'mine', 'Mine') returning id"
)


def _make(connection: psycopg.Connection, statement: LiteralString, names: Row) -> str:
    row = connection.execute(statement, names).fetchone()
    assert row is not None
    return str(row[0])


def leave_it(connection: psycopg.Connection, organization: str) -> None:
    """Everything is still there."""


def delete_integrations(connection: psycopg.Connection, organization: str) -> None:
    connection.execute("delete from device_integrations where organization_id = %s", (organization,))
    connection.execute("delete from devices where organization_id = %s", (organization,))


def delete_organization(connection: psycopg.Connection, organization: str) -> None:
    connection.execute("delete from organizations where id = %s", (organization,))


def end_organization(connection: psycopg.Connection, organization: str) -> None:
    connection.execute("select private.end_organization(%s)", (organization,))


def erase_organization(connection: psycopg.Connection, organization: str) -> None:
    end_organization(connection, organization)
    connection.execute("select erase_organizations()")


Fate = Callable[[psycopg.Connection, str], None]
Scene = tuple[psycopg.Connection, Estate, Row, list[str]]


@pytest.fixture(
    params=[leave_it, delete_integrations, end_organization, erase_organization, delete_organization]
)
def scene(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The estate of one organization and what became of it, the owner of another, and all ids there ever were."""
    fate: Fate = request.param
    own = stack.user("owner", 1).organization_id
    with stack.connect() as connection:
        connection.cursor_factory = psycopg.ClientCursor
        # So that every id is tried, and none refused for being the twentieth a minute.
        connection.execute("update private.budgets set per_minute = 0")
        connection.execute("update private.quotas set most = 1000000")
        estate = build_estate(connection, _make(connection, THEIR_ORGANIZATION, {}))
        ids = estate.every_id()
        names: Row = {"own": own}
        names["mine"] = _make(connection, MY_INTEGRATION, names)
        names["mine_device"] = _make(connection, MY_DEVICE, names)
        fate(connection, estate.organization)
        yield connection, estate, names, ids
        connection.rollback()


def try_id(connection: psycopg.Connection, statement: LiteralString, names: Row, probed: str) -> str:
    """What comes of it, without the ids, times and numbers that differ from call to call."""
    try:
        with connection.transaction():
            cursor = connection.execute(statement, {**names, "id": probed})
            told = f"{cursor.rowcount} {cursor.fetchall() if cursor.description else ''}"
    except psycopg.Error as error:
        told = f"{error.sqlstate} {error.diag.message_primary} {error.diag.message_detail} {error.diag.message_hint}"
    return re.sub(r"\d+", "0", UUID.sub("an id", told))


def test_every_function_that_users_may_execute_is_probed() -> None:
    exposed = {name for name, roles in FUNCTIONS.items() if "authenticated" in roles}

    assert exposed - {name for name, _ in PROBES} == set()


def test_an_id_of_another_organization_is_answered_like_one_that_never_was(
    scene: Scene, stack: Stack
) -> None:
    connection, estate, names, ids = scene
    before = estate.rows()

    act_as(connection, stack, "other_owner")
    told = {
        statement: {probed: try_id(connection, statement, names, probed) for probed in [never_used(), *ids]}
        for _, statement in PROBES
    }
    connection.execute("reset role")

    assert {
        statement: answers for statement, answers in told.items() if len(set(answers.values())) != 1
    } == {}
    assert estate.rows() == before


def test_nothing_of_another_organization_is_seen_by_any_id_or_without(scene: Scene, stack: Stack) -> None:
    connection, _, _, ids = scene
    columns = connection.execute(UUID_COLUMNS).fetchall()
    tables = connection.execute(READABLE).fetchall()

    act_as(connection, stack, "other_owner")
    by_id = [
        connection.execute(
            SQL("select count(*) from {} where {} = any (%s::uuid[])").format(
                Identifier(table), Identifier(column)
            ),
            (ids,),
        ).fetchone()
        for table, column in columns
    ]
    seen = "".join(
        str(row)
        for table, readable in tables
        for row in connection.execute(
            SQL("select {} from {}").format(SQL(", ").join(map(Identifier, readable)), Identifier(table))
        ).fetchall()
    )

    assert set(by_id) == {(0,)}
    assert CANARY not in seen
    assert [each for each in ids if each in seen] == []


def test_nothing_of_another_organization_is_changed_or_deleted(scene: Scene, stack: Stack) -> None:
    connection, estate, _, _ = scene
    tables = connection.execute(WRITABLE).fetchall()
    before = estate.rows()

    act_as(connection, stack, "other_owner")
    for table, column, deletable in tables:
        if column is not None:
            with connection.transaction(force_rollback=True):
                connection.execute(
                    SQL("update {0} set {1} = {1}").format(Identifier(table), Identifier(column))
                )
                connection.execute("reset role")
                assert estate.rows() == before
        if deletable and table != "organization_members":
            with connection.transaction(force_rollback=True):
                connection.execute(SQL("delete from {}").format(Identifier(table)))
                connection.execute("reset role")
                assert estate.rows() == before


def test_what_realtime_tells_of_a_deletion_is_a_spent_id_and_nothing_else(stack: Stack) -> None:
    # Of a deletion Realtime hands the replica identity to every listener: no policy can ask about a row that is gone.
    with stack.connect() as connection:
        told = connection.execute(
            "select c.relname, c.relreplident, array_agg(a.attname::text)"
            "  from pg_publication_tables t"
            "  join pg_class c on c.relname = t.tablename and c.relnamespace = 'public'::regnamespace"
            "  join pg_index i on i.indrelid = c.oid and i.indisprimary"
            "  join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)"
            " where t.pubname = 'supabase_realtime' group by 1, 2"
        ).fetchall()

    assert told != []
    assert {(identity, *key) for _, identity, key in told} == {("d", "id")}


def test_a_provider_s_device_is_looked_for_among_its_own_organization_s_alone(stack: Stack) -> None:
    remote = '{"id": "remote", "name": "x", "hardware_ids": ["shared"], "tags": []}'
    matched = "select (private.match_device(i, %s)).id from device_integrations i where i.id = %s"
    reads = "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables where relname = 'devices'"
    with stack.connect() as connection:
        connection.execute(
            "insert into devices (organization_id, external_id, name, metadata)"
            " select %s, n::text, 'Theirs', '{\"hardware_ids\": [\"shared\"]}' from generate_series(1, 500) n",
            (stack.user("owner", 1).organization_id,),
        )
        integration = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name) values (%s, 'golioth', 'x')"
            " returning id",
            (stack.user("owner", 0).organization_id,),
        ).fetchone()
        assert integration is not None
        (before,) = connection.execute(reads).fetchone() or (0,)

        found = connection.execute(matched, (remote, integration[0])).fetchone()
        (after,) = connection.execute(reads).fetchone() or (0,)
        connection.rollback()

    assert found == (None,)
    assert after - before < 10
