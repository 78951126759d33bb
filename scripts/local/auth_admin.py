"""/admin/users of /auth/v1: what whoever holds the service key does with users."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from psycopg.errors import UniqueViolation
from werkzeug.wrappers import Request, Response

from scripts.local import auth_format as form
from scripts.local import auth_store as store
from scripts.local.auth_format import AuthError, Row, describe_user, reply_json
from scripts.local.auth_store import AuthConnection
from scripts.local.passwords import hash_password

PAGE, MOST = 50, 1000
USERS = "/admin/users"
Act = Callable[[AuthConnection, Request], Response]


def find_act(request: Request) -> Act | None:
    """What the request does; None where it is no request about users."""
    if request.path == USERS:
        return {"GET": _list_users, "POST": _create_user}.get(request.method)
    if request.path.startswith(f"{USERS}/"):
        return {"GET": _show_user, "PUT": _change_user, "DELETE": _delete_user}.get(request.method)
    return None


def write_user(connection: AuthConnection, user_id: str, changes: Row) -> Row:
    """The changed user; AuthError where the address is taken."""
    try:
        return store.change_user(connection, user_id, changes)
    except UniqueViolation:
        raise _refuse_email() from None


def _list_users(connection: AuthConnection, request: Request) -> Response:
    """A page; how many there are, and where the next page is, stands in the headers."""
    page = max(request.args.get("page", 1, type=int), 1)
    size = min(max(request.args.get("per_page", PAGE, type=int), 1), MOST)
    rows, total = store.list_users(connection, size, (page - 1) * size)
    last = max(-(-total // size), 1)
    places = [(place, name) for place, name in ((page + 1, "next"), (last, "last")) if place <= last]
    links = [f'<{request.base_url}?page={place}&per_page={size}>; rel="{name}"' for place, name in places]
    reply = reply_json({"users": [describe_user(row) for row in rows], "aud": "authenticated"})
    reply.headers.extend({"X-Total-Count": str(total), "Link": ", ".join(links)})
    return reply


def _create_user(connection: AuthConnection, request: Request) -> Response:
    """A new user, confirmed at once; one without a password can sign in by a link only."""
    body = form.read_body(request)
    changes = _read_changes(body)
    try:
        user = store.insert_user(connection, form.read_email(body), None, {})
    except UniqueViolation:
        raise _refuse_email() from None
    return reply_json(describe_user(store.change_user(connection, str(user["id"]), changes)))


def _show_user(connection: AuthConnection, request: Request) -> Response:
    return reply_json(describe_user(_find_user(connection, request)))


def _change_user(connection: AuthConnection, request: Request) -> Response:
    user, changes = _find_user(connection, request), _read_changes(form.read_body(request))
    return reply_json(describe_user(write_user(connection, str(user["id"]), changes)))


def _delete_user(connection: AuthConnection, request: Request) -> Response:
    store.delete_user(connection, str(_find_user(connection, request)["id"]))
    return reply_json({})


def _read_changes(body: Row) -> Row:
    return {
        "email": form.read_email(body) if "email" in body else None,
        "password_hash": hash_password(form.read_password(body)) if body.get("password") else None,
        "data": form.read_data(body, "user_metadata"),
        "app_data": form.read_data(body, "app_metadata"),
    }


def _find_user(connection: AuthConnection, request: Request) -> Row:
    try:
        user = store.get_user(connection, str(UUID(request.path.rpartition("/")[2])))
    except ValueError:
        raise AuthError(404, "validation_failed", "user_id must be an UUID") from None
    if user is None:
        raise AuthError(404, "user_not_found", "User not found")
    return user


def _refuse_email() -> AuthError:
    return AuthError(422, "email_exists", "A user with this email address has already been registered")
