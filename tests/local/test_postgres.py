"""The database is a fresh Supabase project: its roles, grants, auth functions and vault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from scripts.local.account import find_account
from scripts.local.processes import StackError
from tests.stack import Stack


@contextmanager
def acting_as(stack: Stack, role: str, claims: str = "{}") -> Iterator[psycopg.Connection]:
    """A transaction as /rest/v1 runs it, rolled back at the end."""
    with stack.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        yield connection


def read_value(connection: psycopg.Connection, query: LiteralString) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_postgres_is_no_superuser_but_owns_the_database_and_schema_public(stack: Stack) -> None:
    with stack.connect() as connection:
        assert read_value(connection, "select current_user") == "postgres"
        assert read_value(connection, "select rolsuper from pg_roles where rolname = 'postgres'") is False
        assert read_value(connection, "select rolbypassrls from pg_roles where rolname = 'postgres'") is True
        assert read_value(connection, "select pg_has_role('pg_database_owner', 'member')") is True


@pytest.mark.parametrize(
    "statement",
    [
        "alter role postgres superuser",
        "select pg_read_file('vault.key')",
        "create table auth.mine (id int)",
        "copy (select 1) to program 'true'",
        "set role supabase_auth_admin",
    ],
)
def test_postgres_can_not_do_what_it_can_not_do_on_supabase(stack: Stack, statement: LiteralString) -> None:
    with stack.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("table", ["auth.users", "auth.sessions"])
def test_the_api_roles_can_not_read_the_auth_tables(stack: Stack, role: str, table: LiteralString) -> None:
    with acting_as(stack, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("select from {}").format(sql.SQL(table)))


def test_a_wrong_password_is_refused_even_on_loopback(stack: Stack) -> None:
    with stack.connect() as connection:
        port = connection.info.port

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host="127.0.0.1", port=port, user="supabase_admin", dbname="postgres", password="guess"
        )


def test_what_postgres_creates_in_public_is_granted_to_the_api_roles(stack: Stack) -> None:
    with stack.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("create table public.fresh (id serial primary key)")
        connection.execute("create function public.fresh() returns int language sql return 1")

        for role in ("anon", "authenticated", "service_role"):
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            connection.execute("insert into public.fresh default values")
            assert read_value(connection, "select public.fresh()") == 1


def test_the_auth_functions_read_the_claims_of_the_request(stack: Stack) -> None:
    claims = '{"sub": "6d9a1c0e-2f4b-4f2e-9a53-000000000001", "role": "authenticated", "email": "a@b.test"}'

    with acting_as(stack, "authenticated", claims) as connection:
        row = connection.execute("select auth.uid()::text, auth.role(), auth.email(), auth.jwt()->>'sub'")
        subject = "6d9a1c0e-2f4b-4f2e-9a53-000000000001"

        assert row.fetchone() == (subject, "authenticated", "a@b.test", subject)


def test_nobody_has_no_user_id(stack: Stack) -> None:
    with stack.connect() as connection:
        assert read_value(connection, "select auth.uid() is null and auth.jwt() is null") is True


def test_the_vault_keeps_a_secret_sealed_and_opens_it_for_the_service_role(stack: Stack) -> None:
    with acting_as(stack, "service_role") as connection:
        connection.execute("select vault.create_secret('naïve canary', 'canary', 'for a test')")
        row = connection.execute(
            "select secret, decrypted_secret from vault.decrypted_secrets where name = 'canary'"
        ).fetchone()

        assert row is not None
        assert row[1] == "naïve canary"
        assert "canary" not in row[0]


def test_an_updated_secret_is_sealed_anew(stack: Stack) -> None:
    with acting_as(stack, "service_role") as connection:
        connection.execute("select vault.create_secret('first', 'changing')")
        old = connection.execute("select id, nonce from vault.secrets where name = 'changing'").fetchone()
        assert old is not None

        connection.execute("select vault.update_secret(%s, 'second')", (old[0],))

        new = connection.execute("select decrypted_secret, nonce from vault.decrypted_secrets").fetchone()
        assert new is not None
        assert (new[0], new[1] != old[1]) == ("second", True)


def test_a_changed_or_moved_ciphertext_does_not_open(stack: Stack) -> None:
    query = (
        "select vault._decrypt(overlay(secret placing '%s' from 1 for 1), id, nonce) from vault.secrets"
        " where name = 'guarded'"
    )
    with acting_as(stack, "service_role") as connection:
        connection.execute("select vault.create_secret('text', 'guarded')")
        first = str(
            read_value(connection, "select left(secret, 1) from vault.secrets where name = 'guarded'")
        )

        with pytest.raises(psycopg.errors.RaiseException, match="does not open"):
            connection.execute(query % ("B" if first == "A" else "A"))


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_users_can_not_reach_the_vault(stack: Stack, role: str) -> None:
    with acting_as(stack, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select vault.create_secret('x')")


def test_a_user_without_a_name_as_containers_may_have_one_is_told_what_is_missing() -> None:
    nobody_has = 2_000_000_123

    with pytest.raises(StackError, match=rf"user {nobody_has}, who has no name.*/etc/passwd"):
        find_account(nobody_has)
