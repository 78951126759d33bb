"""An organization that misuses whatever it can, and endpoints and brokers that play along."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.types.json import Jsonb

from scripts.benchmarks._service import as_owner

SLOW_SECONDS = 25.0
WEBHOOKS, BROKERS, COMMANDS = 40, 400, 800

MAKE_ORGANIZATION = "insert into public.organizations (name) values (%s) returning id::text"
MAKE_INTEGRATION = """
insert into public.device_integrations (organization_id, integration_type, name, settings)
values (%s, %s, 'bench ' || gen_random_uuid(), %s) returning id::text
"""
MAKE_DEVICE = """
insert into public.devices (organization_id, integration_id, external_id, name) values (%s, %s, %s, 'bench')
returning id::text
"""
FLOOD_COMMANDS = """
insert into public.device_commands (organization_id, integration_id, device_id, name)
select organization_id, integration_id, id, 'flood' from public.devices cross join generate_series(1, %s) where id = %s
"""
FLOOD_JOBS = """
insert into public.integration_jobs (organization_id, integration_id, kind)
select organization_id, id, kind from public.device_integrations cross join unnest('{sync,backfill,flood}'::text[]) kind
 where organization_id = %s
"""


@contextmanager
def start_slow_endpoint() -> Iterator[tuple[str, int]]:
    """An address whose every connection is taken and answered, with nothing of use, after 25 s."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def make_organization(connection: psycopg.Connection, name: str) -> str:
    """A new organization; its id."""
    with as_owner(connection):
        row = connection.execute(MAKE_ORGANIZATION, [name]).fetchone()
    return str(row[0]) if row else ""


def make_integration(
    connection: psycopg.Connection, organization_id: str, integration_type: str, **settings: object
) -> str:
    """A new integration of that organization; its id."""
    row = connection.execute(
        MAKE_INTEGRATION, [organization_id, integration_type, Jsonb(settings)]
    ).fetchone()
    return str(row[0]) if row else ""


def make_device(connection: psycopg.Connection, organization_id: str, integration_id: str) -> str:
    """A new device; its id."""
    row = connection.execute(MAKE_DEVICE, [organization_id, integration_id, uuid.uuid4().hex]).fetchone()
    return str(row[0]) if row else ""


def misuse_everything(connection: psycopg.Connection, host: str, port: int) -> str:
    """Slow endpoints with deep queues, brokers that never answer, floods of commands and jobs; the source of events."""
    organization_id = make_organization(connection, "Hostile")
    for number in range(WEBHOOKS):
        make_integration(
            connection,
            organization_id,
            "webhook",
            url=f"http://{host}:{port}/{number}",
            events=["*"],
            max_concurrent=100,
            rate_limit_per_minute=1_000_000,
        )
    for _ in range(BROKERS):
        make_integration(
            connection, organization_id, "mqtt", broker_url=f"mqtt://{host}", port=port, topics="#"
        )
    source = make_integration(
        connection, organization_id, "mqtt", broker_url=f"mqtt://{host}", port=port, topics="#"
    )
    device = make_device(connection, organization_id, source)
    connection.execute(FLOOD_COMMANDS, [COMMANDS, device])
    connection.execute(FLOOD_JOBS, [organization_id])
    return source


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65_536)
    await asyncio.sleep(SLOW_SECONDS)
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
