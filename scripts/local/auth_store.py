"""The users and sessions of /auth/v1, in the tables of auth.sql.

A session counts its refreshes, and the token with the newest number is the good one. An older one gets the newest too
where it is the last but one (whoever sent it has not heard the answer) or the last refresh is less than ten seconds ago
(two tabs woke up at once). Any other means that somebody else has it, so the session ends: as Supabase Auth does.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

REUSE_SECONDS = 10.0

Row = dict[str, Any]
AuthConnection = Connection[DictRow]


def find_user(connection: AuthConnection, email: str) -> Row | None:
    """The user of an email address, whatever its case."""
    return connection.execute("select * from users where lower(email) = lower(%s)", (email,)).fetchone()


def get_user(connection: AuthConnection, user_id: str) -> Row | None:
    """The user of an id."""
    return connection.execute("select * from users where id = %s", (user_id,)).fetchone()


def insert_user(connection: AuthConnection, email: str, password_hash: str | None, data: Row) -> Row:
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
        " raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || %(data)s,"
        " raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || %(app_data)s, updated_at = now()"
        " where id = %(id)s returning *",
        {
            **changes,
            "data": Jsonb(changes["data"]),
            "app_data": Jsonb(changes.get("app_data", {})),
            "id": user_id,
        },
    ).fetchone()
    return _expect(row)


def list_users(connection: AuthConnection, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of users, newest first, and how many there are in all."""
    total = _expect(connection.execute("select count(*) as users from users").fetchone())["users"]
    page = "select * from users order by created_at desc, id limit %s offset %s"
    return connection.execute(page, (limit, offset)).fetchall(), total


def delete_user(connection: AuthConnection, user_id: str) -> None:
    """Deletes a user with their sessions."""
    connection.execute("delete from users where id = %s", (user_id,))


def start_session(connection: AuthConnection, user_id: UUID) -> UUID:
    """The id of a new session, whose first refresh token has the number 0."""
    connection.execute("update users set last_sign_in_at = now() where id = %s", (user_id,))
    row = connection.execute("insert into sessions (user_id) values (%s) returning id", (user_id,)).fetchone()
    session_id: UUID = _expect(row)["id"]
    return session_id


def session_exists(connection: AuthConnection, session_id: str) -> bool:
    """Whether a session goes on."""
    return connection.execute("select from sessions where id = %s", (session_id,)).fetchone() is not None


def refresh_session(connection: AuthConnection, session_id: UUID, number: int) -> Row | None:
    """`{user_id, number}` with the number of the token to give; None when there is no such session.

    The number is None where the token was used before and may not be again; then the session has ended.
    """
    row = connection.execute(
        "select user_id, refresh_token_counter as newest,"
        " coalesce(refreshed_at > now() at time zone 'utc' - make_interval(secs => %s), false) as lately"
        " from sessions where id = %s for update",
        (REUSE_SECONDS, session_id),
    ).fetchone()
    if row is None or number > row["newest"]:
        return None
    if number == row["newest"]:
        connection.execute(
            "update sessions set refresh_token_counter = refresh_token_counter + 1,"
            " refreshed_at = clock_timestamp() at time zone 'utc', updated_at = now() where id = %s",
            (session_id,),
        )
        return {"user_id": row["user_id"], "number": number + 1}
    if number == row["newest"] - 1 or row["lately"]:
        return {"user_id": row["user_id"], "number": row["newest"]}
    connection.execute("delete from sessions where id = %s", (session_id,))
    return {"user_id": row["user_id"], "number": None}


def end_sessions(connection: AuthConnection, user_id: str, session_id: str, scope: str) -> None:
    """Ends this session (`local`), all but this (`others`) or all of the user (`global`)."""
    connection.execute(
        "delete from sessions where user_id = %(user)s and case %(scope)s::text"
        " when 'local' then id = %(session)s when 'others' then id <> %(session)s else true end",
        {"user": user_id, "session": session_id, "scope": scope},
    )


def _expect(row: Row | None) -> Row:
    if row is None:
        raise LookupError("the database returned no row for a statement that always returns one")
    return row
