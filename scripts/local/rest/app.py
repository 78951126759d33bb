"""The WSGI application: finds out what is asked, plans it, runs it, and answers every failure in PostgREST's shape."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg
from werkzeug.wrappers import Response

from scripts.local.rest.call import READING, Call, RestRequest, Verify
from scripts.local.rest.connections import ConnectionPool
from scripts.local.rest.errors import RestError, refuse_feature, translate_database_error
from scripts.local.rest.plan import Plan
from scripts.local.rest.rpc import plan_call
from scripts.local.rest.schema import Schema, SchemaCache
from scripts.local.rest.tables import plan_table
from scripts.local.rest.transaction import Row, read_catalog, run_statement

MISSING = ("PGRST200", "PGRST202", "PGRST204", "PGRST205")
STALE_STATES = ("42883", "42P01", "42703", "42804")
METHODS = "OPTIONS,GET,HEAD,POST,PATCH,DELETE"

log = logging.getLogger(__name__)


class RestApp:
    """Serves `/<table>` and `/rpc/<function>`; makes no connection before the first request, so it survives a fork."""

    def __init__(self, database_url: str, verify_token: Verify, max_rows: int | None = None) -> None:
        self._max_rows = max_rows
        self._pool = ConnectionPool(database_url)
        self._cache = SchemaCache(lambda: read_catalog(self._pool))
        self._verify_token = verify_token

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI entry."""
        return self._respond(RestRequest(environ))(environ, start_response)

    def close(self) -> None:
        """Closes the pooled connections."""
        self._pool.close()

    def _respond(self, request: RestRequest) -> Response:
        call = Call(request, self._verify_token, self._max_rows)
        try:
            return self._serve(call)
        except RestError as error:
            return _answer_error(error)
        except psycopg.Error as error:
            if error.sqlstate in STALE_STATES:
                self._refresh()
            return _answer_error(translate_database_error(error, anonymous=call.identity.role == "anon"))
        except Exception:
            log.exception("rest: %s %s failed", call.method, request.path)
            return _answer_error(RestError(500, "PGRSTX00", "Internal server error"))

    def _serve(self, call: Call) -> Response:
        if call.method == "OPTIONS":
            return Response(status=200, headers={"Allow": METHODS})
        _ = call.identity  # a bad token is refused before anything is read
        _ = call.preferences  # so is what handling=strict does not let pass
        call.check_profile()
        content = b"" if call.method in READING else call.body()
        plan = self._plan(call, content)
        row = self._run(call, plan)
        if row is None:
            call.may_guess = False
            plan = self._plan(call, content)
            row = self._run(call, plan)
        return plan.answer(row or Row(None, 0))

    def _run(self, call: Call, plan: Plan) -> Row | None:
        """Runs the plan; None where it was a guess and a wrong one, which then has changed nothing."""
        timeout = self._cache.current().timeout_of(call.identity.role)
        try:
            row = run_statement(self._pool, call.identity, plan.statement, timeout)
        except psycopg.Error:
            if plan.guess is None or not plan.guess.was_wrong():
                raise
        else:
            if plan.guess is None or row.rows:
                return row
        return None

    def _plan(self, call: Call, content: bytes) -> Plan:
        """Plans by the cached schema, and once more by a new reading when something is missing from it."""
        schema = self._cache.current()
        try:
            return _plan_by(schema, call, content)
        except RestError as error:
            if error.code not in MISSING:
                raise
            newer = self._cache.reload()
            if newer is schema:
                raise
        return _plan_by(newer, call, content)

    def _refresh(self) -> None:
        try:
            self._cache.reload()
        except (psycopg.Error, RestError):
            log.warning("rest: the schema could not be read again")


def _plan_by(schema: Schema, call: Call, content: bytes) -> Plan:
    parts = call.request.path.strip("/").split("/")
    if parts == [""]:
        raise refuse_feature("the OpenAPI description at the root")
    if len(parts) == 2 and parts[0] == "rpc":  # noqa: PLR2004
        return plan_call(schema, parts[1], call, content)
    if len(parts) == 1:
        return plan_table(schema, parts[0], call, content)
    raise RestError(404, "PGRST125", "Invalid path specified in request URL")


def _answer_error(error: RestError) -> Response:
    headers = {"Proxy-Status": f"PostgREST; error={error.code}"} | error.headers
    return Response(error.body(), error.status, headers, content_type="application/json; charset=utf-8")
