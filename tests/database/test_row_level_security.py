"""Row-level security: every persona, on every table, by every operation, from `matrix.py`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ObjectNotInPrerequisiteState
from psycopg.types.json import Jsonb

from tests.database.matrix import FUNCTIONS, MATRIX, PERSONAS, ROLES, Table
from tests.stack import Stack

Row = dict[str, Any]


@pytest.fixture
def world(stack: Stack) -> Iterator[tuple[psycopg.Connection, Row]]:
    """A transaction that is rolled back, with one integration, one delivery and two spare users in it."""
    with stack.connect() as connection:
        names: Row = {"organization": stack.user("owner", 0).organization_id}
        for spare in ("guest", "newcomer"):
            names[spare] = _fetch(
                connection, "insert into auth.users (id, email) values (%s, %s) returning id",
                (uuid.uuid4(), f"{uuid.uuid4()}@spare.test"),
            )  # fmt: skip
        names["integration"] = _fetch(
            connection,
            "insert into device_integrations (organization_id, integration_type, name)"
            " values (%(organization)s, 'webhook', 'World') returning id",
            names,
        )
        names["device"] = _fetch(
            connection,
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%(organization)s, %(integration)s, 'world', 'World') returning id",
            names,
        )
        names["delivery"] = _fetch(
            connection,
            f"{MATRIX['webhook_deliveries'].insert} returning id",
            names,
        )
        yield connection, names
        connection.rollback()


def _fetch(connection: psycopg.Connection, statement: str, values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


def act_as(connection: psycopg.Connection[Any], stack: Stack, persona: str) -> None:
    """Become `persona` for the rest of the transaction, as the API does."""
    users = {role: stack.user(role, 0).id for role in ROLES}
    users |= {"outsider": stack.user("stranger").id, "other_owner": stack.user("owner", 1).id}
    role = "anon" if persona == "anon" else "authenticated"
    claims = Jsonb({"role": role, "sub": users.get(persona)})
    connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,))
    connection.execute(f"set local role {role}")


def attempt(connection: psycopg.Connection, statement: str, names: Row) -> int:
    """How many rows the persona reached; none where the database refused."""
    try:
        with connection.transaction():
            return connection.execute(statement, names).rowcount
    except (InsufficientPrivilege, ObjectNotInPrerequisiteState):  # the latter of a view
        return 0


def may(persona: str, least: str | None) -> bool:
    """Whether the matrix allows this persona what needs the role `least`."""
    return persona in ROLES and least in ROLES and ROLES.index(persona) >= ROLES.index(least)


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.parametrize("operation", ["select", "insert", "update", "delete"])
@pytest.mark.parametrize("name", MATRIX)
def test_each_persona_reaches_exactly_what_the_matrix_allows(
    world: tuple[psycopg.Connection, Row], stack: Stack, name: str, operation: str, persona: str
) -> None:
    connection, names = world
    table = MATRIX[name]
    names["row"] = _fetch(connection, table.make, names)
    statement, least = describe_operation(name, table, operation)

    act_as(connection, stack, persona)
    reached = attempt(connection, statement, names)

    assert reached == (1 if may(persona, least) else 0)


def describe_operation(name: str, table: Table, operation: str) -> tuple[str, str | None]:
    """The statement a persona tries, and the least role that may."""
    where = f"where {table.key} = %(row)s"
    if name == "organization_members":
        where += " and organization_id = %(organization)s"
    if name in {"integration_metrics", "integration_metric_rollups"}:
        where += " and integration_id = %(integration)s"
    return {
        "select": (f"select * from {name} {where}", table.select),
        "insert": (table.insert, table.may_insert),
        "update": (f"{table.update} {where}", table.may_update),
        "delete": (f"delete from {name} {where}", table.may_delete),
    }[operation]


def test_no_table_is_missing_from_the_matrix_and_all_have_row_level_security(stack: Stack) -> None:
    with stack.connect() as connection:
        tables = connection.execute(
            # A view is read with the rights of whoever reads it, and so by the policies of its tables.
            "select relname, relrowsecurity or 'security_invoker=true' = any (reloptions) from pg_class"
            " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
        ).fetchall()

    assert {name for name, _ in tables} == set(MATRIX)
    assert all(secured for _, secured in tables)


def test_every_exposed_function_is_executable_by_exactly_the_roles_listed(stack: Stack) -> None:
    with stack.connect() as connection:
        rows = connection.execute(
            "select p.proname, r.rolname from pg_proc p cross join pg_roles r"
            " where p.pronamespace = 'public'::regnamespace and r.rolname in ('anon', 'authenticated', 'service_role')"
            " and has_function_privilege(r.oid, p.oid, 'execute')"
        ).fetchall()
        names = {row[0] for row in connection.execute(
            "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        )}  # fmt: skip

    granted = {name: frozenset(role for function, role in rows if function == name) for name in names}

    assert granted == FUNCTIONS


def test_every_function_pins_its_search_path(stack: Stack) -> None:
    with stack.connect() as connection:
        loose = connection.execute(
            "select pronamespace::regnamespace::text || '.' || proname from pg_proc"
            " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
            # The names in a body in standard SQL are bound when it is made: no search_path reaches them.
            # An aggregate has no body but that of its functions.
            " and prokind <> 'a' and prosqlbody is null and not coalesce(proconfig, '{}') @> array['search_path=\"\"']"
        ).fetchall()

    assert loose == []


def test_an_integration_cannot_be_moved_to_another_organization(
    world: tuple[psycopg.Connection, Row], stack: Stack
) -> None:
    connection, names = world
    names["elsewhere"] = stack.user("owner", 1).organization_id
    act_as(connection, stack, "owner")

    reached = attempt(connection, "update device_integrations set organization_id = %(elsewhere)s", names)

    assert reached == 0


def test_a_device_cannot_hang_on_another_organizations_integration(
    world: tuple[psycopg.Connection, Row], stack: Stack
) -> None:
    connection, names = world
    names["elsewhere"] = stack.user("owner", 1).organization_id

    with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
        connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%(elsewhere)s, %(integration)s, 'x', 'x')",
            names,
        )


def test_an_admin_cannot_make_anyone_owner(world: tuple[psycopg.Connection, Row], stack: Stack) -> None:
    connection, names = world
    act_as(connection, stack, "admin")

    reached = [
        attempt(connection, statement, names)
        for statement in (
            (
                "insert into organization_members (organization_id, user_id, role)"
                " values (%(organization)s, %(newcomer)s, 'owner')"
            ),
            (
                "update organization_members set role = 'owner'"
                " where organization_id = %(organization)s and role <> 'owner'"
            ),
            "select invite_member(%(organization)s, 'x@people.test', 'owner')",
        )
    ]

    assert reached == [0, 0, 0]


def test_the_last_owner_cannot_leave(world: tuple[psycopg.Connection, Row], stack: Stack) -> None:
    connection, names = world
    names["owner"] = stack.user("owner", 0).id

    connection.execute("set constraints all immediate")

    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "delete from organization_members where organization_id = %(organization)s and user_id = %(owner)s",
            names,
        )
