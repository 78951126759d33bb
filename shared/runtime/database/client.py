"""The one way to the database: PostgREST, as the caller (row-level security decides) or as the service.

Every call is one HTTP request and one transaction. Errors: Forbidden for 42501, Conflict for 23505, NotFound, Gone,
Unauthenticated, BadRequest for what the database calls malformed, InvalidConfig or InvalidRange, which name the field,
for PT422, LeaseLost for a fenced result, Unavailable when it is away, its kind Busy where others were in the way of
this call or it took too long; QuotaExceeded and RateLimited, from whatever writes, for triggers hold the bounds;
anything else is a Problem that names the SQLSTATE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from typing_extensions import TypedDict

from shared.runtime.database.leases import UNREAD, Leases, read_leases
from shared.runtime.database.project import FAILURES, Answer, list_key_headers, open_project
from shared.runtime.errors import (
    BadRequest,
    Busy,
    Conflict,
    FieldError,
    Forbidden,
    Gone,
    InvalidConfig,
    InvalidRange,
    LeaseLost,
    NotFound,
    PreconditionFailed,
    Problem,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.log import read_request_id
from shared.runtime.settings import require_setting
from shared.runtime.telemetry import observe

_AWAY = re.compile(r"^(PGRST00[0-3]|PGRST20[2-5]|08\w{3}|25006|42P07|53\w{3}|57P0\d|58\w{3}|5\d\d)$")
"""Away, or read-only, as with a full disk, or its schema just being changed: passes when tried again."""
_BUSY = re.compile(r"^(40001|40P01|55P03|57014)$")
"""Others were in the way of this one call, or it took too long: passes too, and other calls go through meanwhile."""
_MALFORMED = re.compile(r"^(22\w{3}|23502|23503|23514|54\w{3}|P0001|PGRST1\d\d)$")


Row = TypeVar("Row")
"""A TypedDict: its fields are the columns that are read."""


class Refusal(TypedDict, total=False):
    """How PostgREST, and SQL functions that answer refusals, say what is wrong; `code` is a SQLSTATE or PostgREST's."""

    code: str
    message: str
    hint: str | None
    details: str | None


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
        self._answered: Callable[[], None] | None = None

    def watched(self, answered: Callable[[], None]) -> Database:
        """The same database, which calls `answered` each time it has answered."""
        watched = copy(self)
        watched._answered = answered  # noqa: SLF001 - a copy of its own
        return watched

    def read(self, row: type[Row], table: str, query: Mapping[str, str]) -> list[Row]:
        """The rows of `table` with the columns of `row`; `query` is PostgREST's own, such as `{"id": "eq.…"}`."""
        rows: list[Row] = _read(self._send("GET", _write_path(row, table, query)))
        return rows

    def read_one(
        self, row: type[Row], table: str, query: Mapping[str, str], missing: str | None = None
    ) -> Row:
        """The only row; NotFound, with `missing` as its words, where there is none."""
        rows = self.read(row, table, query)
        if not rows:
            raise NotFound(missing)
        return rows[0]

    def insert(self, row: type[Row], table: str, values: Mapping[str, object]) -> Row:
        """Insert one row; the columns that `row` names as the database holds them now."""
        path = _write_path(row, table, {})
        inserted: list[Row] = _read(
            self._send("POST", path, write_json(values), {"Prefer": "return=representation"})
        )
        return inserted[0]

    def call(self, function: str, **arguments: object) -> Any:
        """Call a SQL function with named arguments (anything orjson writes); its JSON result, None for void."""
        text = self._send("POST", f"rpc/{function}", write_json(arguments))
        return _read(text) if text else None

    def call_whole(self, function: str, document: object) -> Any:
        """Call a SQL function whose one argument has no name, which is `document`: nothing on its way reads it."""
        return _read(self._send("POST", f"rpc/{function}", write_json(document)))

    def lease(self, function: str, name: str | None = None, **arguments: object) -> Leases[Any]:
        """Call a function that answers rows, or `{integrations, <name>}`; each is read by itself."""
        return read_leases(self._send("POST", f"rpc/{function}", write_json(arguments)), name)

    def call_unread(self, function: str, **arguments: object) -> Any:
        """As `call`, the result as the text that came, which orjson writes as it is: for one that is only passed on."""
        return orjson.Fragment(self._send("POST", f"rpc/{function}", write_json(arguments)))

    def _send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        asked = path.partition("?")[0]
        with observe("db", asked, {"db.system.name": "postgresql", "db.operation.name": asked}):
            try:
                project = open_project(require_setting("supabase_url"))
                answer = project.send(method, f"/rest/v1/{path}", {**self._headers, **(headers or {})}, body)
            except FAILURES as error:
                raise _away(error) from None
            if not answer.is_success:
                raise make_problem(_read_error(answer))
        if self._answered:
            self._answered()
        return answer.body


def as_user(token: str) -> Database:
    """The database as the caller: their token, their rights."""
    return Database({"apikey": require_setting("supabase_anon_key"), "Authorization": f"Bearer {token}"})


def as_service() -> Database:
    """The database as service_role: for the scheduler and the receivers, never to answer a user."""
    return Database(list_key_headers(require_setting("supabase_service_role_key")))


def make_problem(refusal: Refusal) -> Problem:
    """The Problem of a refusal."""
    code, message = str(refusal.get("code") or ""), str(refusal.get("message") or "")
    if _AWAY.match(code):
        return Unavailable()
    if _BUSY.match(code):
        return Busy()
    if _MALFORMED.match(code):
        return BadRequest(message)
    if code == "PT429":
        return RateLimited(message, retry_after=_read_wait(refusal))
    if code == "PT422":
        make_invalid = InvalidRange if refusal.get("details") == InvalidRange.code else InvalidConfig
        return make_invalid(errors=[FieldError(refusal.get("hint") or "config", message)])
    make = _HINTED.get(refusal.get("hint") or "") if code == "PT409" else None
    make = make or _PROBLEMS.get(code)
    return (
        make(message) if make else Problem(f"The database refused the call (SQLSTATE {code or 'unknown'}).")
    )


def _read_wait(refusal: Refusal) -> int:
    """Of PT429 the seconds until there are tokens again, which `private.charge` tells in its details."""
    details = refusal.get("details")
    return int(orjson.loads(details)["seconds"]) if details else 60


_HINTED: dict[str, Callable[[str], Problem]] = {
    "in_use": Conflict,
    "quota_exceeded": QuotaExceeded,
    "wrong_status": Conflict,
}
"""What else is PT409 than a lease that is lost."""

_PROBLEMS: dict[str, Callable[[str], Problem]] = {
    "42501": lambda _: Forbidden(),
    "23505": lambda message: Conflict(None if "name_taken" in message else message),
    "PT404": NotFound,
    "PT409": lambda _: LeaseLost(),
    "PT410": Gone,
    "PT412": lambda _: PreconditionFailed(),
    "PT413": TooLarge,
    "PGRST116": lambda _: NotFound(),
    "PGRST301": lambda _: Unauthenticated(),
    "PGRST302": lambda _: Unauthenticated(),
    "PGRST303": lambda _: Unauthenticated(),
}


def _write_path(row: type[Any], table: str, query: Mapping[str, str]) -> str:
    return f"{table}?{urlencode({'select': ','.join(row.__annotations__), **query})}"


def _read(text: bytes) -> Any:
    """An answer; Problem where Postgres holds, past our checks, what nobody here can read."""
    try:
        return read_json(text)
    except orjson.JSONDecodeError:
        raise Problem(UNREAD) from None


def _read_error(answer: Answer) -> Refusal:
    with suppress(orjson.JSONDecodeError):
        refusal: Refusal | None = read_json(answer.body)
        if isinstance(refusal, dict):
            return refusal
    return {"code": str(answer.status)}


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        f"The database can't be reached just now ({type(error).__name__}); try again in a few seconds."
    )
