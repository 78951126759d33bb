"""What a list costs in the database under row-level security, as a member, at 10, 100 and 1,000 organizations.

Each organization has 200 integrations with a device and a message each, so at the end there are 200,000. `ms` is the
median execution time of the API's own list of integrations (50 and the one that tells of a next page) at 1,000
organizations, `ms_10` and `ms_100` the same when there were fewer. At 1,000, `devices_ms` is a list of 50 devices by
name, and `messages_ms` the newest 50 of the 5,000 messages of an organization that the query names. Statements run as
PostgREST runs them: role authenticated, the caller's claims.
"""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime

import psycopg
from psycopg.sql import SQL, Identifier

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._scratch import start_stack
from scripts.local.stack import Report

REACH = {"ms": "< 2 ms", "ms_10": "as ms: flat as organizations grow", "ms_100": "as ms"}
ORGANIZATIONS = (10, 100, 1000)
FILLED = ("device_integrations", "devices", "device_messages")
GROW = """
with made as (
  insert into public.organizations (name)
  select 'Organization ' || n from generate_series(%s::integer, %s::integer - 1) as n returning id
)
insert into public.device_integrations (organization_id, integration_type, name, settings, created_at)
select made.id, 'mqtt', 'Integration ' || n, '{"broker_url": "mqtts://broker.example.com"}', now() - n * interval '1 h'
  from made, generate_series(1, 200) as n
"""
JOIN_ONE = """
insert into public.organization_members (organization_id, user_id, role)
select id, %s, 'member' from public.organizations where name = 'Organization 0'
"""
ADD_DEVICES = """
insert into public.devices (organization_id, integration_id, external_id, name)
select i.organization_id, i.id, 'device-1', 'Device 1' from public.device_integrations i
 where not exists (select from public.devices d where d.integration_id = i.id)
"""
ADD_MESSAGES = """
insert into public.device_messages
  (organization_id, integration_id, device_id, event_id, kind, payload, observed_at, received_at)
select d.organization_id, d.integration_id, d.id, n::text, 'telemetry', '{"temperature": 20}', now(),
       now() - random() * interval '1 s'
  from public.devices d, generate_series(1, %s) as n
 where not exists (select from public.device_messages m where m.device_id = d.id)
"""
INTEGRATIONS = "select public.list_integrations(50)"
DEVICES = "select * from public.devices order by name limit 50"
MESSAGES = """
select * from public.device_messages
 where organization_id = (select id from public.organizations where name = 'Organization 0')
 order by received_at desc limit 50
"""


def measure(bench: Bench) -> Numbers:
    """Grows the database tenfold at a time and lists at each size."""
    rounds = bench.rounds(300, 60)
    numbers: Numbers = {}
    with bench.step("Starting a stack"), start_stack() as report, _open_database(report) as connection:
        stranger = next(user.id for user in report.users if user.organization_id is None)
        sizes = dict(zip(ORGANIZATIONS, map(bench.size, ORGANIZATIONS), strict=True))
        for before, count in zip((0, *ORGANIZATIONS), ORGANIZATIONS, strict=False):
            with bench.step(f"Growing to {count:,} organizations"):
                _grow(connection, sizes.get(before, 0), sizes[count])
            if not before:
                connection.execute(JOIN_ONE, [stranger])
            numbers[f"ms_{count}"] = _time_list(connection, stranger, INTEGRATIONS, rounds)
        numbers = {"ms": numbers.pop(f"ms_{ORGANIZATIONS[-1]}"), **numbers}
        numbers["devices_ms"] = _time_list(connection, stranger, DEVICES, rounds)
        numbers["messages_ms"] = _time_list(connection, stranger, MESSAGES, rounds)
    return numbers


def _open_database(report: Report) -> psycopg.Connection:
    """As the tables' owner, whose triggers for one row are too slow for hundreds of thousands."""
    return psycopg.connect(report.db_url, autocommit=True)


def _grow(connection: psycopg.Connection, before: int, count: int) -> None:
    with connection.transaction():
        for table in FILLED:
            connection.execute(SQL("alter table public.{} disable trigger user").format(Identifier(table)))
        connection.execute(GROW, [before, count])
        connection.execute(ADD_DEVICES)
        connection.execute(ADD_MESSAGES, [1 if before else 25])
        for table in FILLED:
            connection.execute(SQL("alter table public.{} enable trigger user").format(Identifier(table)))
    _vacuum(connection)


def _vacuum(connection: psycopg.Connection) -> None:
    """As autovacuum does it: what was written to. A day to come that is known to be empty misleads the plans."""
    today = datetime.now(UTC).strftime("%Y%m%d")
    written = ("organizations", "organization_members", "device_integrations", "devices")
    tables = ", ".join((*(f"public.{table}" for table in written), f"private.device_messages_{today}"))
    connection.execute(f"vacuum analyze {tables}".encode())


def _time_list(connection: psycopg.Connection, user_id: str, statement: str, rounds: int) -> float:
    """The median milliseconds Postgres needs to execute it as that user."""
    claims = json.dumps({"sub": user_id, "role": "authenticated"})
    with connection.transaction():
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute("set local role authenticated")
        return statistics.median(_explain(connection, statement) for _ in range(rounds))


def _explain(connection: psycopg.Connection, statement: str) -> float:
    row = connection.execute(f"explain (analyze, timing off, format json) {statement}".encode()).fetchone()
    return float(row[0][0]["Execution Time"]) if row else 0.0
