"""A direct connection as service_role, for benchmarks of the SQL functions by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.types.json import Jsonb

from scripts.local.stack import Report

MAKE_INTEGRATION = """
insert into public.device_integrations (organization_id, integration_type, name, settings)
select id, %s, 'bench ' || gen_random_uuid(), %s from public.organizations order by name limit 1
returning id::text
"""

MAKE_CODEC = """
insert into public.codecs (organization_id, name, kind, source)
select id, 'bench ' || gen_random_uuid(), 'javascript', %s from public.organizations
 where id = coalesce(%s::uuid, id) order by name limit 1
returning id::text
"""


@contextmanager
def connect_service(report: Report) -> Iterator[psycopg.Connection]:
    """A connection whose every statement is a transaction of its own."""
    with psycopg.connect(report.db_url, autocommit=True) as connection:
        connection.execute("set role service_role")
        yield connection


def make_integration(connection: psycopg.Connection, integration_type: str, **settings: object) -> str:
    """A new integration of the first organization; its id."""
    row = connection.execute(MAKE_INTEGRATION, [integration_type, Jsonb(settings)]).fetchone()
    return str(row[0]) if row else ""


def make_codec(connection: psycopg.Connection, source: str, organization_id: str | None = None) -> str:
    """A new JavaScript codec, of the first organization unless told; its id."""
    row = connection.execute(MAKE_CODEC, [source, organization_id]).fetchone()
    return str(row[0]) if row else ""


@contextmanager
def as_owner(connection: psycopg.Connection) -> Iterator[None]:
    """What is done inside is done as the owner of the schema, for what service_role has no right to."""
    connection.execute("reset role")
    yield
    connection.execute("set role service_role")
