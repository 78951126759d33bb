"""What lists cost: how many rows Postgres reads for a page under row-level security, whatever else there is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.stack import Stack

MANY, PAGE, OTHERS = 5_000, 50, 200
"""So many that Postgres expects more than a page of them, though it takes policy and filter for independent. Of fewer
it may read all and sort them, which costs it no more than a few milliseconds."""

FILL = {
    "device_integrations": "insert into device_integrations (organization_id, integration_type, name, created_at)"
    " select %(organization)s, 'mqtt', 'Planned ' || n, now() - n * interval '1 s' from generate_series(1, %(many)s) n",
    # Of today, so that it is one partition, in its last minute: what other tests have stored, many at one moment,
    # is older. And of many other organizations, each with little to say.
    "device_messages": "insert into device_messages"
    " (organization_id, integration_id, event_id, kind, observed_at, received_at)"
    " select o.id, gen_random_uuid(), n::text, 'event', now(),"
    " date_trunc('day', now(), 'UTC') + interval '23:59' + n * interval '1 ms'"
    " from (select %(organization)s::uuid as id, %(many)s as many"
    f" union all select gen_random_uuid(), 20 from generate_series(1, {OTHERS})) o, generate_series(1, o.many) n",
}


@pytest.fixture
def filled(stack: Stack) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, in which two organizations have many rows; Postgres knows how they spread."""
    with stack.connect() as connection:
        for table, statement in FILL.items():
            connection.execute(f"alter table {table} disable trigger user")
            for organization in (0, 1):
                owner = stack.user("owner", organization)
                connection.execute(statement, {"organization": owner.organization_id, "many": MANY})
        analyze(connection)
        yield connection
        connection.rollback()
        analyze(connection)


def analyze(connection: psycopg.Connection) -> None:
    """As autovacuum does it: each table that rows were written to, never the partitions of days to come."""
    written = connection.execute(
        "select string_agg(relid::regclass::text, ', ') from pg_partition_tree('device_messages')"
        " where isleaf and pg_relation_size(relid) > 0"
    ).fetchone()
    assert written is not None
    connection.execute(f"analyze device_integrations, {written[0]}".encode())


def act_as_member(connection: psycopg.Connection, stack: Stack) -> None:
    claims = json.dumps({"sub": stack.user("member", 0).id, "role": "authenticated"})
    connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
    connection.execute("set local role authenticated")


def count_rows(plan: dict[str, Any], table: str) -> float:
    """The rows that scans of `table`, or of its partitions, read: those returned and those thrown away."""
    here = 0.0
    if str(plan.get("Relation Name", "")).startswith(table):
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        here = read * plan["Actual Loops"]
    return here + sum(count_rows(child, table) for child in plan.get("Plans", ()))


def explain(connection: psycopg.Connection, statement: str) -> dict[str, Any]:
    row = connection.execute(f"explain (analyze, format json) {statement}".encode()).fetchone()
    assert row is not None
    return dict(row[0][0]["Plan"])


@pytest.mark.parametrize("table", FILL)
@pytest.mark.parametrize("order", ["", ", id desc"])
def test_the_newest_of_one_organization_are_read_and_no_more(
    filled: psycopg.Connection, stack: Stack, table: str, order: str
) -> None:
    act_as_member(filled, stack)
    time = {"device_integrations": "created_at", "device_messages": "received_at"}[table]
    organization = stack.user("member", 0).organization_id

    plan = explain(
        filled,
        f"select id from {table} where organization_id = '{organization}' order by {time} desc{order} limit {PAGE}",
    )

    assert count_rows(plan, table) <= 2 * PAGE


def test_a_list_of_all_that_is_the_members_reads_nothing_of_others(
    filled: psycopg.Connection, stack: Stack
) -> None:
    filled.execute("set local enable_seqscan = off")  # so few rows as a test has, Postgres reads through
    act_as_member(filled, stack)

    plan = explain(filled, f"select id from device_integrations order by created_at desc limit {PAGE}")

    assert count_rows(plan, "device_integrations") <= MANY + 100


def list_page(
    connection: psycopg.Connection, after: tuple[str, str] | None, **filters: str | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {"p_limit": 400} | filters
    if after:
        arguments |= {"p_after_created_at": after[0], "p_after_id": after[1]}
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    row = connection.execute(f"select list_integrations({named})".encode(), arguments).fetchone()
    assert row is not None
    return dict(row[0])


def test_pages_show_each_integration_once_newest_first(filled: psycopg.Connection, stack: Stack) -> None:
    act_as_member(filled, stack)
    seen: list[dict[str, Any]] = []
    after: tuple[str, str] | None = None

    while True:
        page = list_page(filled, after, p_integration_type="mqtt")
        seen += page["integrations"]
        if page["next_cursor"] is None:
            break
        after = (seen[-1]["created_at"], seen[-1]["id"])

    keys = [(row["created_at"], row["id"]) for row in seen]
    assert len(seen) >= MANY
    assert keys == sorted(set(keys), reverse=True)
    assert {row["organization_id"] for row in seen} == {stack.user("member", 0).organization_id}


def test_a_list_can_be_narrowed_to_one_organization_type_and_status(
    filled: psycopg.Connection, stack: Stack
) -> None:
    act_as_member(filled, stack)

    other = list_page(filled, None, p_organization_id=stack.user("owner", 1).organization_id)
    types = {
        row["integration_type"] for row in list_page(filled, None, p_integration_type="mqtt")["integrations"]
    }
    none = list_page(filled, None, p_status="inactive", p_organization_id=str(uuid.uuid4()))

    assert (other["integrations"], none["integrations"]) == ([], [])
    assert types == {"mqtt"}
