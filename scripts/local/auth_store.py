"""The users, sessions and refresh tokens of /auth/v1, in the tables of auth.sql.

A refresh token is good once. Using it again means that somebody else has it, so its whole session ends.
Supabase forgives a repeat within ten seconds; the local stack is strict at once.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

Row = dict[str, Any]
AuthConnection = Connection[DictRow]


def find_user(connection: AuthConnection, email: str) -> Row | None:
    """The user of an email address, whatever its case."""
    return connection.execute("select * from users where lower(email) = lower(%s)", (email,)).fetchone()


def get_user(connection: AuthConnection, user_id: str) -> Row | None:
    """The user of an id."""
    return connection.execute("select * from users where id = %s", (user_id,)).fetchone()


def insert_user(connection: AuthConnection, email: str, password_hash: str, data: Row) -> Row:
    """A new user, confirmed at once; UniqueViolation when the address is taken."""
    provider = {"provider": "email", "providers": ["email"]}
    row = connection.execute(
        "insert into users"
        " (email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data)"
        " values (lower(%s), %s, now(), %s, %s) returning *",
        (email, password_hash, Jsonb(provider), Jsonb(data)),
    ).fetchone()
    return _expect(row)


def change_user(connection: AuthConnection, user_id: str, changes: Row) -> Row:
    """The user with a new email, password hash or more user metadata; None leaves a field."""
    row = connection.execute(
        "update users set email = coalesce(lower(%(email)s), email),"
        " encrypted_password = coalesce(%(password_hash)s, encrypted_password),"
        " raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || %(data)s, updated_at = now()"
        " where id = %(id)s returning *",
        {**changes, "data": Jsonb(changes["data"]), "id": user_id},
    ).fetchone()
    return _expect(row)


def start_session(connection: AuthConnection, user_id: UUID) -> tuple[UUID, str]:
    """A new session: its id and its first refresh token."""
    connection.execute("update users set last_sign_in_at = now() where id = %s", (user_id,))
    row = connection.execute("insert into sessions (user_id) values (%s) returning id", (user_id,)).fetchone()
    session_id = _expect(row)["id"]
    return session_id, _issue_refresh_token(connection, session_id, user_id)


def session_exists(connection: AuthConnection, session_id: str) -> bool:
    """Whether a session goes on."""
    return connection.execute("select from sessions where id = %s", (session_id,)).fetchone() is not None


def rotate_refresh_token(connection: AuthConnection, token: str) -> Row | None:
    """Spends a token: `{user_id, session_id, revoked, new_token}`, None when there is no such token.

    `revoked` tells that it was spent before; then its session has ended and there is no new token.
    """
    row = connection.execute(
        "select id, user_id, session_id, revoked from refresh_tokens where token = %s for update",
        (_digest(token),),
    ).fetchone()
    if row is None:
        return None
    if row["revoked"]:
        connection.execute("delete from sessions where id = %s", (row["session_id"],))
        return row
    connection.execute(
        "update refresh_tokens set revoked = true, updated_at = now() where id = %s", (row["id"],)
    )
    return {**row, "new_token": _issue_refresh_token(connection, row["session_id"], row["user_id"])}


def end_sessions(connection: AuthConnection, user_id: str, session_id: str, scope: str) -> None:
    """Ends this session (`local`), all but this (`others`) or all of the user (`global`)."""
    connection.execute(
        "delete from sessions where user_id = %(user)s and case %(scope)s::text"
        " when 'local' then id = %(session)s when 'others' then id <> %(session)s else true end",
        {"user": user_id, "session": session_id, "scope": scope},
    )


def _issue_refresh_token(connection: AuthConnection, session_id: UUID, user_id: UUID) -> str:
    token = secrets.token_urlsafe(24)
    connection.execute(
        "insert into refresh_tokens (token, user_id, session_id) values (%s, %s, %s)",
        (_digest(token), str(user_id), session_id),
    )
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _expect(row: Row | None) -> Row:
    if row is None:
        raise LookupError("the database returned no row for a statement that always returns one")
    return row
