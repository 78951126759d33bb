"""A stack with a row in every table, and its dump: SQL that any Postgres from 15 on runs. Its secrets are made up."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import subprocess
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg

from scripts.local.binaries import find_binaries
from shared.devices.provisioning_steps import SEALED_AS
from shared.runtime.vault.ring import SealContext, Vault
from tests.database.estate import build_estate, read_rows, read_statements
from tests.platform import Platform
from tests.stack import Stack
from tests.upgrades.invented import invent_row

FOLDER = Path(__file__).parent
RING = f"upgrades:{base64.urlsafe_b64encode(hashlib.sha256(b'upgrades').digest()).decode().rstrip('=')}"
"""The key ring of every dump: with it their credentials open."""

KEY = "upgrades-pre-shared-key"

CONFIGS: dict[str, dict[str, Any]] = {
    "mqtt": {
        "broker_url": "mqtts://broker.example.com",
        "topics": "devices/+/telemetry",
        "username": "platform",
        "password": "upgrades-password",
    },
    "golioth": {
        "api_key": "upgrades-api-key",
        "project_id": "acme",
        "webhook_secret": "upgrades-webhook-secret",
    },
    "webhook": {"url": "https://hooks.example.com/devices", "bearer_token": "upgrades-token"},
}

ROWS = read_statements("../upgrades/rows.sql", "row")

USERS = """
select format('insert into auth.users (id, email) values (%L, %L) on conflict do nothing;', id, email)
  from auth.users order by email
"""
WATCHED = """
select format('alter publication %I add table %I.%I;', pubname, schemaname, tablename)
  from pg_publication_tables where schemaname = 'public' order by 1
"""
"""pg_dump leaves out what is published of the tables that it dumps."""

_UNKNOWN = re.compile(
    # Of Postgres 17 and later, of psql, and what every project has.
    r"^(?:SET transaction_timeout|\\(?:un)?restrict |(?:CREATE|ALTER|COMMENT ON) SCHEMA public\b).*\n",
    re.MULTILINE,
)


def fill_stack(stack: Stack) -> None:
    """A row of everything, and three integrations with sealed secrets."""
    admin = Platform(stack, stack.user("admin"))
    created = {kind: _create(admin, kind, config) for kind, config in CONFIGS.items()}
    organization = str(admin.user.organization_id)
    with psycopg.connect(stack.db_url, cursor_factory=psycopg.ClientCursor) as connection:
        names = build_estate(connection, organization).ids | {"mqtt": created["mqtt"]}
        context = SealContext(organization, names["provisioning"], SEALED_AS, "kept", 1)
        names["sealed_key"] = Vault.from_text(RING).seal({"pre_shared_key": KEY}, context)
        for _, statement in ROWS:
            connection.execute(statement, names)
        for _ in list_empty(connection):
            # Once a table that others refer to has its row, so can they.
            for table in list_empty(connection):
                with suppress(psycopg.Error), connection.transaction():
                    invent_row(connection, table, organization)
        for table in list_empty(connection):
            invent_row(connection, table, organization)


def count_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows each table of the schema has, as the catalogue knows them."""
    tables = connection.execute(
        "select relnamespace::regnamespace::text, relname from pg_class"
        " where relnamespace in ('public'::regnamespace, 'private'::regnamespace) and relkind in ('r', 'p')"
        " and not relispartition order by 1, 2"
    ).fetchall()
    return {f"{schema}.{name}": len(read_rows(connection, schema, name)) for schema, name in tables}


def list_empty(connection: psycopg.Connection[Any]) -> list[str]:
    """The tables of the schema that have no row."""
    return [table for table, rows in count_rows(connection).items() if not rows]


def dump_stack(stack: Stack) -> str:
    """Schema and rows as SQL, with the accounts that they name, by id and address alone."""
    with stack.connect() as connection:
        # Twice as much as all the rest, and nobody reads it.
        connection.execute("update supabase_migrations.schema_migrations set statements = null")
        users, watched = (connection.execute(each).fetchall() for each in (USERS, WATCHED))
    programs = find_binaries("system" if os.environ.get("TEST_POSTGRES") == "system" else "embedded")
    schemas = [f"--schema={name}" for name in ("public", "private", "supabase_migrations")]
    argv = [str(programs / "pg_dump"), stack.db_url, *schemas, "--rows-per-insert=100"]
    dumped = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    rows = [row[0] for row in users], [_UNKNOWN.sub("", dumped)], [row[0] for row in watched]
    return "\n".join(chain.from_iterable(rows))


def write_dump(version: str, text: str) -> Path:
    """The file of a release; the same text gives the same bytes."""
    file = FOLDER / f"{version}.sql.gz"
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    return file


def read_dump(file: Path) -> str:
    """What `write_dump` was given."""
    return gzip.decompress(file.read_bytes()).decode()


def _create(admin: Platform, kind: str, config: dict[str, Any]) -> str:
    body = {"organization_id": admin.user.organization_id, "integration_type": kind, "config": config}
    body["name"] = f"Upgraded {kind}"
    reply = admin.call("POST", "/integrations", json=body, headers={"Idempotency-Key": f"upgrades-{kind}"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["integration"]["id"])
