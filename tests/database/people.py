"""Accounts of a test's own, and what each does past the API, committed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from tests.stack import Stack

DOMAIN = "people.test"
NO_SUCH_INVITATION = "There is no such invitation for your address, or it has ended. Ask for a new one."


@dataclass(frozen=True)
class Person:
    """An account."""

    stack: Stack
    id: str
    email: str

    def do(self, statement: LiteralString, **values: Any) -> Any:
        """One committed statement of theirs; the first value of its first row."""
        with closing(self.stack.connect()) as connection:
            become(connection, self)
            cursor = connection.execute(statement, {"me": self.id} | values)
            row = cursor.fetchone() if cursor.description else None
            # What a deferred constraint refuses is refused here.
            connection.commit()
        return row[0] if row else None

    def create(self, name: str = "Acme") -> str:
        """A new organization of theirs; its id."""
        return str(self.do("select (create_organization(%(name)s)).id", name=name))

    def invite(self, organization: str, email: str, role: str | None = "member") -> str:
        """Asks somebody to belong; the invitation's id."""
        return str(
            self.do(
                "select (invite_member(%(organization)s, %(email)s, %(role)s)).id",
                organization=organization,
                email=email,
                role=role,
            )
        )

    def accept(self, invitation: str) -> str:
        """Belongs from now on; as what."""
        return str(self.do("select (accept_invitation(%(id)s)).role", id=invitation))

    def leave(self, organization: str) -> None:
        """Belongs no more."""
        self.do("select leave_organization(%(organization)s)", organization=organization)

    def end(self, organization: str) -> None:
        """Deletes the organization."""
        self.do("select delete_organization(%(organization)s)", organization=organization)


@dataclass(frozen=True)
class People:
    """Makes accounts, and looks as the owner of the tables."""

    stack: Stack
    made: list[Person]

    def join(self, email: str | None = None, *, confirmed: bool = True) -> Person:
        """A new account."""
        person = Person(self.stack, str(uuid.uuid4()), email or f"{uuid.uuid4()}@{DOMAIN}")
        self.own(
            "insert into auth.users (id, email, email_confirmed_at)"
            " values (%(id)s, %(email)s, case when %(confirmed)s then now() end)",
            id=person.id,
            email=person.email,
            confirmed=confirmed,
        )
        self.made.append(person)
        return person

    def add(self, organization: str, role: str) -> Person:
        """A new account that belongs already."""
        person = self.join()
        self.own(
            "insert into organization_members (organization_id, user_id, role)"
            " values (%(organization)s, %(id)s, %(role)s)",
            organization=organization,
            id=person.id,
            role=role,
        )
        return person

    def erase(self, person: Person) -> None:
        """Erases the account."""
        self.own("delete from auth.users where id = %(id)s", id=person.id)

    def roles(self, organization: str) -> dict[str, str]:
        """Who belongs to it, and as what."""
        found = self.own(
            "select jsonb_object_agg(user_id, role) from organization_members where organization_id = %(organization)s",
            organization=organization,
        )
        return dict(found or {})

    def is_ended(self, organization: str) -> bool:
        """Whether it is over."""
        return bool(
            self.own(
                "select exists (select from private.ended_organizations where organization_id = %(organization)s)",
                organization=organization,
            )
        )

    def own(self, statement: LiteralString, **values: Any) -> Any:
        """One committed statement as the owner of the tables; the first value of its first row."""
        with self.stack.connect() as connection:
            cursor = connection.execute(statement, values)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def become(connection: psycopg.Connection[Any], person: Person, **claims: Any) -> None:
    """Act as the account until the transaction ends."""
    token = Jsonb({"role": "authenticated", "sub": person.id} | claims)
    connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (token,))
    connection.execute("set local role authenticated")


@contextmanager
def open_people(stack: Stack) -> Iterator[People]:
    """Accounts that are gone afterwards, with their organizations."""
    people = People(stack, [])
    try:
        yield people
    finally:
        ids = [person.id for person in people.made]
        people.own(
            "delete from organizations o using organization_members m"
            " where m.organization_id = o.id and m.user_id = any (%(ids)s::uuid[])",
            ids=ids,
        )
        people.own("delete from auth.users where id = any (%(ids)s::uuid[])", ids=ids)
        people.own(
            "delete from organizations where id in (select organization_id from private.ended_organizations)"
        )
        people.own("delete from private.ended_organizations")
