"""The one way to the database: PostgREST, as the caller (row-level security decides) or as the service.

Every call is one HTTP request and one transaction. Errors: Forbidden for 42501, Conflict for 23505, NotFound, Gone,
Unauthenticated, BadRequest for what the database calls malformed, LeaseLost for a fenced result, Unavailable when
the database is away; anything else is a Problem that names the SQLSTATE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from shared.runtime.database.project import FAILURES, Answer, list_key_headers, open_project
from shared.runtime.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    LeaseLost,
    NotFound,
    PreconditionFailed,
    Problem,
    Unauthenticated,
    Unavailable,
)
from shared.runtime.log import read_request_id
from shared.runtime.settings import require_setting

_AWAY = re.compile(r"^(PGRST00[0-3]|08\w{3}|40001|40P01|53\w{3}|55P03|57014|57P0\d|5\d\d)$")
"""Away, or too busy: deadlocks, lock and statement timeouts pass when tried again."""
_MALFORMED = re.compile(r"^(22\w{3}|23502|23503|23514|54\w{3}|P0001|PGRST1\d\d)$")


class Database:
    """Database access with one token. Make one per request: a shared client re-tokened would leak callers.

    The id of that request goes along, for the audit log.
    """

    def __init__(self, authorization: Mapping[str, str]) -> None:
        self._headers = {
            **authorization,
            "Content-Type": "application/json",
            "User-Agent": "device-integrations",
        }
        request_id = read_request_id()
        if request_id:
            self._headers["X-Request-Id"] = request_id

    def read(self, table: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """The rows of `table`; `query` is PostgREST's own, such as `{"select": "id,name", "id": "eq.…"}`."""
        rows: list[dict[str, Any]] = orjson.loads(self._send("GET", f"{table}?{urlencode(query)}"))
        return rows

    def read_one(self, table: str, query: Mapping[str, str], missing: str | None = None) -> dict[str, Any]:
        """The only row; NotFound, with `missing` as its words, where there is none."""
        rows = self.read(table, query)
        if not rows:
            raise NotFound(missing)
        return rows[0]

    def insert(self, table: str, values: Mapping[str, Any], columns: str) -> dict[str, Any]:
        """Insert one row; the `columns` of it as the database holds them now."""
        path = f"{table}?{urlencode({'select': columns})}"
        (row,) = orjson.loads(
            self._send("POST", path, orjson.dumps(values), {"Prefer": "return=representation"})
        )
        return dict(row)

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a SQL function with named arguments (anything orjson writes); its JSON result, None for void."""
        text = self.call_unread(function, **arguments)
        return orjson.loads(text) if text else None

    def call_unread(self, function: str, **arguments: Any) -> bytes:
        """As `call`, the result as the text that came: for one that is only passed on."""
        return self._send("POST", f"rpc/{function}", orjson.dumps(arguments))

    def _send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        try:
            project = open_project(require_setting("supabase_url"))
            answer = project.send(method, f"/rest/v1/{path}", {**self._headers, **(headers or {})}, body)
        except FAILURES as error:
            raise _away(error) from None
        if not answer.is_success:
            raise make_problem(_read_error(answer))
        return answer.body


def as_user(token: str) -> Database:
    """The database as the caller: their token, their rights."""
    return Database({"apikey": require_setting("supabase_anon_key"), "Authorization": f"Bearer {token}"})


def as_service() -> Database:
    """The database as service_role: for the scheduler and the receivers, never to answer a user."""
    return Database(list_key_headers(require_setting("supabase_service_role_key")))


def make_problem(error: dict[str, Any]) -> Problem:
    """The Problem for a PostgREST error body `{code, message, details, hint}`."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    if _AWAY.match(code):
        return Unavailable()
    if _MALFORMED.match(code):
        return BadRequest(message)
    if code == "PT409" and error.get("hint") == "wrong_status":
        return Conflict(message)
    make = _PROBLEMS.get(code)
    return (
        make(message) if make else Problem(f"The database refused the call (SQLSTATE {code or 'unknown'}).")
    )


_PROBLEMS: dict[str, Callable[[str], Problem]] = {
    "42501": lambda _: Forbidden(),
    "23505": lambda message: Conflict(None if "name_taken" in message else message),
    "PT404": NotFound,
    "PT409": lambda _: LeaseLost(),
    "PT410": Gone,
    "PT412": lambda _: PreconditionFailed(),
    "PGRST116": lambda _: NotFound(),
    "PGRST301": lambda _: Unauthenticated(),
    "PGRST302": lambda _: Unauthenticated(),
    "PGRST303": lambda _: Unauthenticated(),
}


def _read_error(answer: Answer) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    return body if isinstance(body, dict) else {"code": str(answer.status), "message": ""}


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        f"The database can't be reached just now ({type(error).__name__}); try again in a few seconds."
    )
