"""What a Supabase project has before its first migration, made on a plain Postgres by the .sql files here."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from scripts.local.postgres import SUPERUSER, Postgres

SCRIPTS = ("roles.sql", "auth.sql", "vault.sql")


def bootstrap_database(postgres: Postgres) -> None:
    """Makes the database a fresh Supabase project; run at every start, changes nothing the second time."""
    with psycopg.connect(postgres.url(SUPERUSER)) as connection:
        # Existing objects make "if not exists" chatty.
        connection.execute("set client_min_messages = warning")
        for script in SCRIPTS:
            connection.execute((Path(__file__).parent / script).read_bytes())
        for role, password in postgres.credentials.database_passwords.items():
            _set_password(connection, role, password)


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    connection.execute(
        sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password))
    )
