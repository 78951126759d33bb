"""An organization of a test's own, whose rows are committed, for what only happens between transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from tests.stack import Stack

Values = dict[str, Any]


@dataclass(frozen=True)
class Tenant:
    """The organization, and the one user in it: its owner."""

    stack: Stack
    organization: str
    owner: str

    def own(self, statement: LiteralString, **values: Any) -> Any:
        """One committed statement as the owner of the tables; the first value of its first row."""
        return self._run(None, statement, values)

    def serve(self, statement: LiteralString, **values: Any) -> Any:
        """As the service."""
        return self._run("service_role", statement, values)

    def act(self, statement: LiteralString, **values: Any) -> Any:
        """As the organization's owner, past the API."""
        return self._run("authenticated", statement, values)

    def act_at_once(self, statements: LiteralString, **values: Any) -> None:
        """Several statements in one, as the organization's owner."""
        with self.stack.connect() as connection:
            connection.cursor_factory = psycopg.ClientCursor
            self._become(connection, "authenticated")
            connection.execute(statements, {"organization": self.organization} | values)

    def set_quota(self, bound: str, most: int) -> None:
        """What it may have of something."""
        self.own(
            "insert into private.quotas (organization_id, bound, most) values (%(organization)s, %(bound)s, %(most)s)"
            " on conflict (bound, organization_id) do update set most = excluded.most",
            bound=bound,
            most=most,
        )

    def integrate(self, **settings: Any) -> str:
        """A new integration made by the service; its id."""
        return str(
            self.own(
                "insert into device_integrations (organization_id, integration_type, name, settings)"
                " values (%(organization)s, 'mqtt', gen_random_uuid(), %(settings)s) returning id",
                settings=Jsonb(settings),
            )
        )

    def _run(self, role: str | None, statement: LiteralString, values: Values) -> Any:
        with self.stack.connect() as connection:
            if role == "authenticated":
                claims = Jsonb({"role": role, "sub": self.owner})
                connection.execute(
                    "select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,)
                )
            if role is not None:
                connection.execute("select set_config('role', %s, true)", (role,))
            cursor = connection.execute(statement, {"organization": self.organization} | values)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def _become(self, connection: psycopg.Connection, role: str | None) -> None:
        if role == "authenticated":
            claims = Jsonb({"role": role, "sub": self.owner})
            connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,))
        if role is not None:
            connection.execute("select set_config('role', %s, true)", (role,))


@contextmanager
def open_tenant(stack: Stack) -> Iterator[Tenant]:
    """A new organization owned by the stranger; gone afterwards with all it has."""
    with stack.connect() as connection:
        made = connection.execute(
            "insert into organizations (name) values ('Tenant') returning id"
        ).fetchone()
        assert made is not None
        owner = stack.user("stranger").id
        connection.execute(
            "insert into organization_members (user_id, organization_id, role) values (%s, %s, 'owner')",
            (owner, made[0]),
        )
    try:
        yield Tenant(stack, str(made[0]), owner)
    finally:
        with stack.connect() as connection:
            connection.execute("delete from organizations where id = %s", made)
            connection.execute("delete from private.quotas where organization_id = %s", made)


def race(count: int, step: Callable[[int], Any]) -> list[Any]:
    """What came of `step(0)`, `step(1)`, …, all begun at the same moment: the result, or the database's error."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return step(number)
        except psycopg.Error as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def race_each(*steps: Callable[[], Any]) -> list[Any]:
    """What came of each of the steps, all begun at the same moment."""
    return race(len(steps), lambda number: steps[number]())
