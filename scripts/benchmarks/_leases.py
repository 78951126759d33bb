"""How long a lease takes with few and with many deliveries waiting, with warm caches and analyzed tables."""

from __future__ import annotations

import statistics
import time

import psycopg

from scripts.benchmarks._service import as_owner

FEW, MANY = 10_000, 1_000_000
AT_ONCE = 50
WARM_UP, ROUNDS = 20, 60
# Ids that rise with time, as those of ingest_messages do.
MAKE_WAITING = """
insert into public.webhook_deliveries
  (id, organization_id, integration_id, event_type, message_id, message_received_at, due_at)
select (lpad(to_hex(extract(epoch from now())::bigint * 1000 + n), 12, '0') || '70008'
         || right(replace(gen_random_uuid()::text, '-', ''), 15))::uuid,
       i.organization_id, i.id, 'device.telemetry', gen_random_uuid(), now(),
       now() - interval '1 hour' + n * interval '1 millisecond'
  from generate_series(1, %(waiting)s) n
  join public.device_integrations i on i.id = (%(webhooks)s::uuid[])[1 + n %% cardinality(%(webhooks)s::uuid[])]
"""
LEASE = "select public.lease_deliveries(%s, 60)::text"
FINISH = """
select public.finish_deliveries(jsonb_agg(
         jsonb_build_object('id', d.id, 'lease_token', d.lease_token) || '{"outcome": "delivered", "milliseconds": 5}'
         || jsonb_build_object('started_at', now()))) ->> 'delivered'
  from public.webhook_deliveries d where d.stage = 2 and d.integration_id = any (%s::uuid[])
"""


def compare_leases(connection: psycopg.Connection, webhooks: list[str]) -> float:
    """The time of a lease with a million waiting, shared out over `webhooks`, over that with ten thousand."""
    few, many = (_time_lease(connection, webhooks, waiting) for waiting in (FEW, MANY))
    return many / few


def _time_lease(connection: psycopg.Connection, webhooks: list[str], waiting: int) -> float:
    connection.execute("delete from public.webhook_deliveries")
    connection.execute(MAKE_WAITING, {"webhooks": webhooks, "waiting": waiting})
    for turn in range(WARM_UP + ROUNDS):
        if turn in {0, WARM_UP}:
            _tidy_up(connection)
            seconds = []
        begun = time.perf_counter()
        connection.execute(LEASE, [AT_ONCE])
        seconds.append(time.perf_counter() - begun)
        row = connection.execute(FINISH, [webhooks]).fetchone()
        if row != (str(AT_ONCE),):
            raise RuntimeError(f"Of a batch of {AT_ONCE} the database says: {row}")
    return statistics.median(seconds)


def _tidy_up(connection: psycopg.Connection) -> None:
    """What autovacuum does within a minute."""
    with as_owner(connection):
        for table in ("public.webhook_deliveries", "public.webhook_endpoints", "private.webhook_sends"):
            connection.execute(f"vacuum analyze {table}".encode())
