"""The people of a fresh stack: two organizations, a user for each role in each, and a stranger in none."""

from __future__ import annotations

import json
from uuid import NAMESPACE_URL, uuid5

import psycopg
from psycopg import sql
from pydantic import BaseModel

from scripts.local.data_folder import Credentials
from scripts.local.passwords import hash_password

ORGANIZATIONS = ("Alpha", "Beta")
ROLES = ("viewer", "member", "admin", "owner")


class User(BaseModel):
    """A seeded user as the ready file lists them."""

    id: str
    email: str
    password: str
    role: str
    organization_id: str | None


def list_users(credentials: Credentials) -> list[User]:
    """All seeded users; ids depend on the email alone, so every stack has the same."""
    members = [_member(credentials, organization, role) for organization in ORGANIZATIONS for role in ROLES]
    return [*members, _user(credentials, "stranger@nowhere.test", "stranger", None)]


def seed_database(database_url: str, users: list[User]) -> None:
    """Writes users, organizations and memberships where there are none: what was renamed since stays so."""
    with psycopg.connect(database_url) as connection:
        emails = [user.email for user in users]
        if not _exists(connection, sql.SQL("auth.users where email = any ({})").format(emails)):
            _insert_users(connection, users)
        table = connection.execute("select to_regclass('public.organization_members')").fetchone()
        if table != (None,) and not _exists(connection, sql.SQL("public.organizations")):
            _insert_organizations(connection, users)


def _exists(connection: psycopg.Connection, source: sql.Composable) -> bool:
    return connection.execute(sql.SQL("select from {} limit 1").format(source)).fetchone() is not None


def _member(credentials: Credentials, organization: str, role: str) -> User:
    return _user(credentials, f"{role}@{organization.lower()}.test", role, _stable_id(organization))


def _user(credentials: Credentials, email: str, role: str, organization_id: str | None) -> User:
    password = credentials.user_password(email)
    return User(
        id=_stable_id(email), email=email, password=password, role=role, organization_id=organization_id
    )


def _stable_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"local-stack:{name}"))


def _insert_users(connection: psycopg.Connection, users: list[User]) -> None:
    provider = json.dumps({"provider": "email", "providers": ["email"]})
    rows = [(user.id, user.email, hash_password(user.password), provider) for user in users]
    connection.cursor().executemany(
        "insert into auth.users (id, email, encrypted_password, email_confirmed_at,"
        " raw_app_meta_data, raw_user_meta_data) values (%s, %s, %s, now(), %s, '{}')",
        rows,
    )


def _insert_organizations(connection: psycopg.Connection, users: list[User]) -> None:
    cursor = connection.cursor()
    cursor.executemany(
        "insert into public.organizations (id, name) values (%s, %s)",
        [(_stable_id(name), name) for name in ORGANIZATIONS],
    )
    cursor.executemany(
        "insert into public.organization_members (organization_id, user_id, role) values (%s, %s, %s)",
        [(user.organization_id, user.id, user.role) for user in users if user.organization_id],
    )
