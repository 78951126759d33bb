"""The JSON of /auth/v1: what its requests must hold, and what its answers look like."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from scripts.local.tokens import AUDIENCE

SESSION_SECONDS = 3600
SHORTEST_PASSWORD = 6
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

Row = dict[str, Any]


class AuthError(Exception):
    """A refusal: HTTP status, GoTrue's error code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": status, "error_code": code, "msg": message}


def reply_json(body: object, status: int = 200) -> Response:
    """An answer; times are written as GoTrue does."""
    return Response(json.dumps(body, default=_write_value), status=status, content_type="application/json")


def read_body(request: Request) -> Row:
    """The JSON object of a request."""
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise AuthError(400, "bad_json", "Could not parse request body as JSON") from None
    if not isinstance(body, dict):
        raise AuthError(400, "bad_json", "The request body must be a JSON object")
    return body


def read_text(body: Row, name: str) -> str:
    """A text field of a body, empty where it is absent."""
    value = body.get(name) or ""
    if not isinstance(value, str) or "\0" in value:
        raise AuthError(400, "validation_failed", f"{name} must be a text")
    return value


def read_data(body: Row, name: str = "data") -> Row:
    """The metadata of a body."""
    data = body.get(name) or {}
    if not isinstance(data, dict):
        raise AuthError(400, "validation_failed", f"{name} must be an object")
    return data


def read_email(body: Row) -> str:
    """The email address of a body, checked roughly."""
    email = read_text(body, "email")
    if not _EMAIL.fullmatch(email):
        raise AuthError(400, "validation_failed", "Unable to validate email address: invalid format")
    return email


def read_password(body: Row) -> str:
    """The new password of a body; it must not be short."""
    password = read_text(body, "password")
    if len(password) < SHORTEST_PASSWORD:
        message = f"Password should be at least {SHORTEST_PASSWORD} characters."
        raise AuthError(422, "weak_password", message)
    return password


def describe_user(user: Row) -> Row:
    """A user as the API shows them."""
    return {
        "id": user["id"],
        "aud": user["aud"],
        "role": user["role"],
        "email": user["email"],
        "email_confirmed_at": user["email_confirmed_at"],
        "confirmed_at": user["email_confirmed_at"],
        "last_sign_in_at": user["last_sign_in_at"],
        "phone": "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "identities": [_describe_identity(user)],
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "is_anonymous": user["is_anonymous"],
    }


def _describe_identity(user: Row) -> Row:
    """The one way to sign in that there is; frontends take a user without any for one who had signed up before."""
    return {
        "identity_id": user["id"],
        "id": user["id"],
        "user_id": user["id"],
        "identity_data": {"sub": user["id"], "email": user["email"], "email_verified": True},
        "provider": "email",
        "email": user["email"],
        "last_sign_in_at": user["last_sign_in_at"],
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
    }


def describe_claims(user: Row, session_id: str, issuer: str) -> Row:
    """What a session token says."""
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": str(user["id"]),
        "aud": AUDIENCE,
        "exp": now + SESSION_SECONDS,
        "iat": now,
        "email": user["email"],
        "phone": "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": now}],
        "session_id": session_id,
        "is_anonymous": user["is_anonymous"],
    }


def _write_value(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
