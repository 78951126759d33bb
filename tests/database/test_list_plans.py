"""What a frontend's lists cost: a page reads about its own rows, whatever else the organization has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.database.test_plans import act_as_member, count_rows, explain
from tests.stack import Stack

MANY, OTHERS, PAGE = 20_000, 200, 100
QUIET = "00000000-0000-4000-8000-00000000c0de"
"""An integration that said ten things, long ago, beside one that said all else."""

NOBODY = "00000000-0000-4000-8000-000000000000"

ROWS = (
    "(select %(organization)s::uuid as id, %(many)s as many"
    f" union all select id, 20 from organizations where id <> %(organization)s limit {OTHERS}) o,"
    " generate_series(1, o.many) n"
)
FILL = {
    # One for each organization, under its id.
    "device_integrations": "insert into device_integrations (id, organization_id, integration_type, name)"
    " select id, id, 'mqtt', 'Listed' from organizations",
    "devices": "insert into devices (organization_id, external_id, name, updated_at)"
    " select o.id, 'list-' || lpad(((n * 7919) %% 99991)::text, 6, '0') || n, 'Pump ' || n,"
    f" now() - n * interval '1 s' from {ROWS}",
    # Within today, so that all of it is in the partition of today; see test_plans.py.
    "device_messages": "insert into device_messages"
    " (organization_id, integration_id, event_id, kind, observed_at, received_at, error)"
    " select o.id, case when n <= 10 then %(quiet)s::uuid else o.id end, 'list-' || n, 'event', now(),"
    " date_trunc('day', now(), 'UTC') + interval '23:58' + n * interval '1 ms',"
    f" case when n %% 2000 = 0 then 'Not JSON.' end from {ROWS}",
    "integration_activity": "insert into integration_activity"
    " (organization_id, integration_id, kind, level, message, created_at)"
    " select o.id, o.id, 'session', case when n %% 500 = 0 then 'error' else 'info' end, 'm',"
    f" now() - n * interval '1 s' from {ROWS}",
    "webhook_deliveries": "insert into webhook_deliveries"
    " (organization_id, integration_id, event_type, message_id, message_received_at, status, created_at)"
    " select o.id, o.id, 'device.telemetry', gen_random_uuid(), now(), 'delivered', now() - n * interval '1 s'"
    f" from {ROWS}",
}


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, in which an organization has many rows; Postgres knows how they spread."""
    arguments = {"organization": stack.user("owner", 0).organization_id, "many": MANY, "quiet": QUIET}
    with stack.connect() as connection:
        for table, statement in FILL.items():
            connection.execute(f"alter table {table} disable trigger user".encode())
            connection.execute(statement.encode(), arguments)
        connection.execute("analyze devices, integration_activity, webhook_deliveries")
        connection.execute(name_partitions(connection).encode())
        act_as_member(connection, stack)
        yield connection
        connection.rollback()


def name_partitions(connection: psycopg.Connection) -> str:
    row = connection.execute(
        "select string_agg(relid::regclass::text, ', ') from pg_partition_tree('device_messages')"
        " where isleaf and pg_relation_size(relid) > 0"
    ).fetchone()
    assert row is not None
    return f"analyze {row[0]}"


LISTS = {
    "devices by their id": ("devices", "order by external_id, id limit {page}"),
    "a page of devices after another": (
        "devices",
        "and (external_id, id) > ('list-05', '{quiet}') order by external_id, id limit {page}",
    ),
    "devices that have changed since": (
        "devices",
        "and updated_at > now() - interval '60 s' order by updated_at, id limit {page}",
    ),
    "devices changed last": ("devices", "order by updated_at desc, id desc limit {page}"),
    "the newest messages": ("device_messages", "order by received_at desc limit {page}"),
    "messages of an integration that says little": (
        "device_messages",
        "and integration_id = '{quiet}' order by received_at desc limit {page}",
    ),
    "messages of an integration that has said nothing yet": (
        "device_messages",
        "and integration_id = '{nobody}' order by received_at desc limit 1",
    ),
    "messages that failed": (
        "device_messages",
        "and error is not null order by received_at desc limit {page}",
    ),
    "what went wrong": (
        "integration_activity",
        "and level = 'error' order by created_at desc, id desc limit {page}",
    ),
    "what happened": ("integration_activity", "order by created_at desc, id desc limit {page}"),
    "the newest deliveries": ("webhook_deliveries", "order by created_at desc, id desc limit {page}"),
}


@pytest.mark.parametrize("named", LISTS)
def test_a_page_reads_its_own_rows_and_few_more(filled: psycopg.Connection, stack: Stack, named: str) -> None:
    table, rest = LISTS[named]
    organization = stack.user("member", 0).organization_id
    asked = rest.format(page=PAGE, quiet=QUIET, nobody=NOBODY)

    plan = explain(filled, f"select * from {table} where organization_id = '{organization}' {asked}")

    assert count_rows(plan, table) <= 2 * PAGE, plan
    assert "Sort" not in list_nodes(plan) or plan["Actual Rows"] < PAGE


def list_nodes(plan: dict[str, Any]) -> list[str]:
    """The kinds of a plan's nodes."""
    return [str(plan["Node Type"]), *(kind for child in plan.get("Plans", ()) for kind in list_nodes(child))]


def test_a_reading_changes_no_index_of_its_device(stack: Stack) -> None:
    """What a message changes (heap-only tuples): else each of a fleet's readings would write to every index."""
    with stack.connect() as connection:
        indexed = connection.execute(
            "select distinct a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
            " where i.indrelid = 'devices'::regclass and (a.attnum = any (i.indkey)"
            " or pg_get_expr(i.indpred, i.indrelid) ~ ('\\m' || a.attname || '\\M'))"
        ).fetchall()

    assert not {name for (name,) in indexed} & {"last_seen_at", "status", "firmware_version"}
