"""Serves /rest/v1 over a database of its own in the running stack's Postgres, on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
from postgrest import SyncPostgrestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from scripts.local.rest import build_rest
from tests.stack import Stack

HERE = Path(__file__).parent
SECRET = "a secret that only these tests know, long enough"
LOGIN = "rest_tests_authenticator"
DATABASE = "rest_tests"
PREPARE = f"""
drop database if exists {DATABASE} with (force);
drop role if exists {LOGIN};
create role {LOGIN} login noinherit password 'made up';
grant anon, authenticated, service_role to {LOGIN};
create database {DATABASE};
"""
GRANTS = """
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
"""


@dataclass(frozen=True, slots=True)
class Rest:
    """The running server: its URL, and the databases' URLs as owner and as the login it uses."""

    url: str
    owner_url: str
    login_url: str
    http: httpx.Client

    def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """One request; without a token it comes from nobody."""
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self.http.request(method, f"{self.url}{path}", headers=headers, **options)

    def read(self, path: str, role: str = "service_role") -> Any:
        """The JSON of a GET that must succeed."""
        reply = self.call("GET", path, token=make_token(role))
        assert reply.is_success, reply.text
        return reply.json()

    def client(self, role: str = "service_role", **claims: Any) -> SyncPostgrestClient:
        """postgrest-py with a token of the role; it closes nothing, the connection pool is shared."""
        headers = {"Authorization": f"Bearer {make_token(role, **claims)}"}
        return SyncPostgrestClient(self.url, headers=headers, http_client=self.http)

    def execute(self, statement: str) -> None:
        """Runs SQL as the owner."""
        with psycopg.connect(self.owner_url) as connection:
            connection.execute(statement.encode())


def make_token(role: str, **claims: Any) -> str:
    """A token of the role, signed with the tests' secret."""
    return jwt.encode({"role": role, **claims}, SECRET, algorithm="HS256")


def verify_token(token: str) -> dict[str, Any]:
    """The claims of a token of these tests; ValueError for any other."""
    try:
        return dict(jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_aud": False}))
    except jwt.PyJWTError as error:
        raise ValueError(str(error)) from error


@contextmanager
def serve_rest(stack: Stack) -> Iterator[Rest]:
    """The server, on a new database with the tests' schema."""
    _prepare_database(stack)
    login_url = _replace(stack.db_url, user=LOGIN, password="made up", dbname=DATABASE)
    with serve_database(login_url) as url, httpx.Client(timeout=30) as http:
        yield Rest(url, _replace(stack.db_url, dbname=DATABASE), login_url, http)


@contextmanager
def serve_database(login_url: str, max_rows: int | None = None) -> Iterator[str]:
    """/rest/v1 over this database; yields its URL."""
    rest = build_rest(login_url, verify_token, max_rows)
    application = DispatcherMiddleware(Response("not here", 404), {"/rest/v1": rest})
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/rest/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        rest.close()


def _prepare_database(stack: Stack) -> None:
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        for statement in PREPARE.strip().split("\n"):
            connection.execute(statement.encode())
    with psycopg.connect(_replace(stack.db_url, dbname=DATABASE)) as connection:
        connection.execute(GRANTS.encode())
        connection.execute((HERE / "rest_schema.sql").read_bytes())


def _replace(url: str, **parts: str) -> str:
    return psycopg.conninfo.make_conninfo(url, **parts)


def reset_rows(rest: Rest) -> None:
    """Puts the rows back that every test starts with."""
    rest.execute((HERE / "rest_rows.sql").read_text(encoding="utf-8"))


def quote_name(name: str) -> str:
    """A name in a query string's quotes."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
