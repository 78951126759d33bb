"""Errors in PostgREST's shape: JSON `{code, message, details, hint}` and the status its documentation gives the code.

Source: docs.postgrest.org, "Errors". A SQLSTATE is looked up whole first, then by its class of two characters.
"""

from __future__ import annotations

from typing import Any, Self

import orjson
import psycopg

BY_STATE = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "42501": 403,
    "53400": 500,
    "P0001": 400,
}
BY_CLASS = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}
SHUTTING_DOWN = {"57P01", "57P02", "57P03"}


class RestError(Exception):
    """An answer other than success; `status` is the HTTP status, the rest is the JSON body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers: dict[str, str] = {}

    def with_headers(self, headers: dict[str, str]) -> Self:
        """The same error with these response headers added."""
        self.headers |= headers
        return self

    def body(self) -> bytes:
        """The JSON document PostgREST clients expect."""
        return orjson.dumps(
            {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}
        )


def refuse_syntax(what: str, text: str, expected: str) -> RestError:
    """400 PGRST100: a query parameter that can't be parsed."""
    return RestError(400, "PGRST100", f'"failed to parse {what} ({text})"', details=expected)


def refuse_feature(feature: str) -> RestError:
    """400 PGRST127: something PostgREST can do and the local stack can't."""
    return RestError(
        400,
        "PGRST127",
        "Feature not implemented",
        details=f"The local stack does not support {feature}.",
        hint="Express it with what is supported, or put it into a SQL function and call that as an rpc.",
    )


def refuse_token(message: str) -> RestError:
    """401: a token that does not verify (PGRST301), or has ended (PGRST303)."""
    code = "PGRST303" if "expired" in message else "PGRST301"
    quoted = message.replace("\\", "").replace('"', "'").encode("latin-1", "replace").decode("latin-1")
    challenge = f'Bearer error="invalid_token", error_description="{quoted}"'.replace("\n", " ")
    return RestError(401, code, message).with_headers({"WWW-Authenticate": challenge})


def translate_database_error(error: psycopg.Error, *, anonymous: bool) -> RestError:
    """What PostgREST answers for an error of Postgres, or of the way to it."""
    state = error.sqlstate
    if state is None or state in SHUTTING_DOWN or state.startswith("08"):
        return _translate_client_error(error)
    if state == "PGRST":
        return _translate_raised_json(error)
    diagnostic = error.diag
    answer = RestError(
        _status_of(state, anonymous=anonymous),
        state,
        diagnostic.message_primary or str(error),
        details=diagnostic.message_detail,
        hint=diagnostic.message_hint,
    )
    return answer.with_headers({"WWW-Authenticate": "Bearer"}) if answer.status == 401 else answer  # noqa: PLR2004


def _status_of(state: str, *, anonymous: bool) -> int:
    if state == "42501" and anonymous:
        return 401
    if state.startswith("PT") and state[2:].isdecimal() and 200 <= int(state[2:]) <= 599:  # noqa: PLR2004
        return int(state[2:])
    return BY_STATE.get(state) or BY_CLASS.get(state[:2], 400)


def _translate_client_error(error: psycopg.Error) -> RestError:
    if isinstance(error, psycopg.DataError):
        return RestError(400, "22021", str(error))
    return RestError(
        503,
        "PGRST001",
        "Database client error. Retrying the connection.",
        details=str(error).strip() or None,
    ).with_headers({"Retry-After": "1"})


def _translate_raised_json(error: psycopg.Error) -> RestError:
    """`raise sqlstate 'PGRST'` carries the body in its message and status and headers in its detail, both JSON."""
    try:
        body: dict[str, Any] = orjson.loads(error.diag.message_primary or "")
        reply: dict[str, Any] = orjson.loads(error.diag.message_detail or "")
        answer = RestError(
            int(reply["status"]),
            str(body["code"]),
            str(body["message"]),
            details=body.get("details"),
            hint=body.get("hint"),
        )
        return answer.with_headers({str(k): str(v) for k, v in reply.get("headers", {}).items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return RestError(
            500,
            "PGRST121",
            "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            details=error.diag.message_primary,
        )
