"""What PostgREST embeds by functions: the device and the integration of rows that outlive them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.database.estate import CANARY, Estate, build_estate
from tests.database.test_row_level_security import act_as
from tests.stack import Stack

# As PostgREST reads `?select=id,<embedded>(name)`.
EMBED = SQL(
    "select distinct e.name from public.{0} t left join lateral (select r.name from public.{1}(t) r) e on true"
)
EMBEDS = [
    ("device_messages", "devices"),
    ("device_messages", "device_integrations"),
    ("device_commands", "device_integrations"),
    ("webhook_deliveries", "device_integrations"),
    ("integration_activity", "device_integrations"),
]


def build(connection: psycopg.Connection[Any], stack: Stack) -> Estate:
    connection.cursor_factory = psycopg.ClientCursor
    return build_estate(connection, str(stack.user("owner", 0).organization_id))


def read(connection: psycopg.Connection[Any], table: str, embedded: str) -> set[str | None]:
    rows = connection.execute(EMBED.format(Identifier(table), Identifier(embedded))).fetchall()
    return {name for (name,) in rows}


@pytest.mark.parametrize(("table", "embedded"), EMBEDS)
def test_members_read_the_names_with_the_rows(stack: Stack, table: str, embedded: str) -> None:
    with stack.connect() as connection:
        build(connection, stack)
        act_as(connection, stack, "viewer")

        names = read(connection, table, embedded)
        connection.rollback()

    assert {name for name in names if name and CANARY in name}


@pytest.mark.parametrize(("table", "embedded"), EMBEDS)
@pytest.mark.parametrize("persona", ["outsider", "other_owner"])
def test_nobody_else_reads_a_row_or_a_name(stack: Stack, table: str, embedded: str, persona: str) -> None:
    with stack.connect() as connection:
        connection.execute(SQL("delete from {}").format(Identifier(table)))
        build(connection, stack)
        act_as(connection, stack, persona)

        names = read(connection, table, embedded)
        connection.rollback()

    assert names == set()


def test_what_was_deleted_is_embedded_as_nothing(stack: Stack) -> None:
    with stack.connect() as connection:
        estate = build(connection, stack)
        connection.execute(
            "delete from device_integrations where organization_id = %s", (estate.organization,)
        )
        connection.execute("delete from devices where organization_id = %s", (estate.organization,))
        act_as(connection, stack, "viewer")

        names = [read(connection, "device_messages", embedded) for _, embedded in EMBEDS[:2]]
        connection.rollback()

    assert names == [{None}, {None}]


@pytest.mark.parametrize(("table", "embedded"), EMBEDS)
def test_it_is_read_as_part_of_the_query_and_not_row_by_row(stack: Stack, table: str, embedded: str) -> None:
    with stack.connect() as connection:
        act_as(connection, stack, "viewer")

        plan = connection.execute(
            SQL("explain ") + EMBED.format(Identifier(table), Identifier(embedded))
        ).fetchall()

    assert "Function Scan" not in str(plan)
