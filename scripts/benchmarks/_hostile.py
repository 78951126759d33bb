"""An organization that misuses whatever it can, and endpoints and brokers that play along."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import psycopg
from psycopg.types.json import Jsonb

from scripts.benchmarks._publisher import publish_messages
from scripts.benchmarks._service import as_owner, make_codec
from scripts.local.stack import Report
from shared.provider import TOKEN_PREFIX, hash_token

SLOW_SECONDS, HANG_SECONDS = 25.0, 1.0
WEBHOOKS, BROKERS, COMMANDS = 40, 400, 800
NOTIFIERS, PEOPLE = 10, 50

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
RAISE_ALERTS = """
select private.raise_alert(id, 'test', 'error', 'A storm.', '{}') from public.device_integrations
 where organization_id = %s and integration_type = 'webhook'
"""

HANGS = "function decodeUplink() { return Array(2 ** 31 - 1).join(); }"
MAKE_ISSUED = """
with made as (
  insert into public.device_tokens (organization_id, integration_id, external_id) values (%s, %s, 'hostile')
  returning id)
insert into private.device_token_hashes (token_id, token_hash) select id, %s from made
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


def misuse_everything(
    connection: psycopg.Connection, host: str, port: int, size: Callable[[int], int]
) -> str:
    """Slow endpoints with deep queues, brokers that never answer, floods of commands, jobs and alerts.

    `size` is how many of so many there are to be. The source of its events.
    """
    organization_id = make_organization(connection, "Hostile")
    for number in range(size(WEBHOOKS)):
        make_integration(
            connection,
            organization_id,
            "webhook",
            url=f"http://{host}:{port}/{number}",
            events=["*"],
            max_concurrent=100,
            rate_limit_per_minute=1_000_000,
        )
    for _ in range(size(BROKERS)):
        make_integration(
            connection, organization_id, "mqtt", broker_url=f"mqtt://{host}", port=port, topics="#"
        )
    source = make_integration(
        connection, organization_id, "mqtt", broker_url=f"mqtt://{host}", port=port, topics="#"
    )
    device = make_device(connection, organization_id, source)
    connection.execute(FLOOD_COMMANDS, [size(COMMANDS), device])
    connection.execute(FLOOD_JOBS, [organization_id])
    storm_people(connection, organization_id, host, port)
    return source


def storm_people(connection: psycopg.Connection, organization_id: str, host: str, port: int) -> None:
    """Mail servers that never greet, people who want to hear of everything, and an alert of each webhook."""
    people = [
        {"name": f"P{number}", "to": f"p{number}@bench.test", "rate_limit_per_hour": 1_000}
        for number in range(PEOPLE)
    ]
    mail = {"server_url": f"smtp://{host}:{port}", "allow_plain": True, "from_address": "a@bench.test"}
    for _ in range(NOTIFIERS):
        make_integration(
            connection,
            organization_id,
            "email",
            **mail,
            recipients=people,
            events=["alert.*"],
            digest_after=100,
        )
    with as_owner(connection):
        connection.execute(RAISE_ALERTS, [organization_id])


def make_hanging_codec(connection: psycopg.Connection, port: int) -> tuple[str, str]:
    """A codec that never ends, of an organization of its own: for a broker, below `hostile/`, and for what posts.

    The id of the integration to post to, and a token.
    """
    organization_id = make_organization(connection, "Hanging")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    codec = make_codec(connection, HANGS, organization_id)
    broker = {"broker_url": "mqtt://127.0.0.1", "port": port, "topics": "hostile/#"}
    make_integration(connection, organization_id, "mqtt", codec=codec, **broker)
    posted = make_integration(connection, organization_id, "http", codec=codec, device_tokens=True)
    with as_owner(connection):
        connection.execute(MAKE_ISSUED, [organization_id, posted, hash_token(token)])
    return posted, token


def push_unproven(report: Report, integration_id: str, stopped: threading.Event) -> None:
    """A sender with the address and without the proof, one large body after another."""
    body = b"[" + b"0," * 200_000 + b"0]"
    with httpx.Client(base_url=report.url, timeout=60) as client:
        while not stopped.is_set():
            with suppress(httpx.HTTPError):
                client.post(f"/functions/v1/receive/{integration_id}", content=body)
            stopped.wait(0.02)


def publish_to_hang(port: int, stopped: threading.Event) -> None:
    """A device that hangs the codec over MQTT, again and again."""
    while not stopped.wait(HANG_SECONDS):
        publish_messages(port, [("hostile/device", uuid.uuid4().bytes)])


def push_to_hang(report: Report, integration_id: str, token: str, stopped: threading.Event) -> None:
    """The same over HTTP."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=report.url, timeout=60, headers=headers) as client:
        while not stopped.wait(HANG_SECONDS):
            with suppress(httpx.HTTPError):
                client.post(f"/functions/v1/receive/{integration_id}", content=uuid.uuid4().bytes)


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
