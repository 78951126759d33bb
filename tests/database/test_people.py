"""Whoever is signed in starts organizations and owns them, as many as the operator allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from tests.database.people import People, become, open_people
from tests.database.tenant import race
from tests.stack import Stack

MOST = 10
AT_ONCE = 14


@pytest.fixture
def people(stack: Stack) -> Iterator[People]:
    with open_people(stack) as opened:
        yield opened


def states(results: list[Any]) -> list[str | None]:
    return [result.sqlstate for result in results if isinstance(result, psycopg.Error)]


def owned(people: People, user_id: str) -> Any:
    return people.own(
        "select count(*) from organization_members where user_id = %(id)s and role = 'owner'", id=user_id
    )


def test_whoever_starts_an_organization_owns_it_and_is_alone_in_it(people: People) -> None:
    founder = people.join()

    organization = founder.create("  Acme  ")

    assert people.roles(organization) == {founder.id: "owner"}
    assert founder.do("select name from organizations") == "Acme"
    assert people.join().do("select count(*) from organizations") == 0


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, None])
def test_a_name_that_is_none_is_refused_by_its_field(people: People, name: Any) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="name: expected 1 to 200 characters"):
        people.join().create(name)


@pytest.mark.parametrize(
    "said",
    [
        "update private.options set value = false where name = 'allow_create_organization'",
        "delete from private.options",
    ],
)
def test_the_operator_says_whether_people_start_organizations(
    people: People, stack: Stack, said: LiteralString
) -> None:
    person = people.join()
    with stack.connect() as connection:
        connection.execute(said)
        become(connection, person)

        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="ask the operator"):
            connection.execute("select create_organization('Acme')")

        connection.rollback()


def test_an_anonymous_account_starts_none(people: People, stack: Stack) -> None:
    person = people.join()
    with stack.connect() as connection:
        become(connection, person, is_anonymous=True)

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select create_organization('Acme')")

        connection.rollback()


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_nobody_does_who_is_no_account(stack: Stack, role: str) -> None:
    with stack.connect() as connection:
        connection.execute(f"set local role {role}")

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select create_organization('Acme')")

        connection.rollback()


def test_of_many_started_at_once_an_account_owns_exactly_as_many_as_it_may(people: People) -> None:
    person = people.join()

    results = race(AT_ONCE, lambda number: person.create(str(number)))

    assert states(results) == ["PT409"] * (AT_ONCE - MOST)
    assert owned(people, person.id) == MOST


def test_the_refusal_names_the_bound_and_who_can_raise_it(people: People) -> None:
    person = people.join()
    race(MOST, lambda number: person.create(str(number)))

    with pytest.raises(psycopg.Error, match=r"may own 10 organizations.*operator") as refused:
        person.create()

    assert refused.value.diag.message_hint == "quota_exceeded"
    assert refused.value.diag.message_detail == '{"most": 10, "bound": "organizations"}'


def test_those_that_others_hand_over_count_too(people: People) -> None:
    person, other = people.join(), people.join()
    race(MOST, lambda number: person.create(str(number)))
    organization = other.create()
    invitation = other.invite(organization, person.email, "owner")
    joined = people.join()
    race(MOST, lambda number: joined.create(str(number)))
    joined.accept(other.invite(organization, joined.email, "viewer"))

    accepted = race(1, lambda _: person.accept(invitation))
    raised = race(
        1,
        lambda _: other.do(
            "update organization_members set role = 'owner' where user_id = %(id)s", id=joined.id
        ),
    )

    assert states(accepted + raised) == ["PT409", "PT409"]
    assert people.roles(organization) == {other.id: "owner", joined.id: "viewer"}


def test_starting_them_has_a_rate(people: People) -> None:
    person = people.join()
    people.own(
        "insert into private.rate_limits (subject, budget, full_at)"
        " values (%(id)s, 'invite', now() + interval '1 minute')",
        id=person.id,
    )

    with pytest.raises(psycopg.Error) as refused:
        person.create()

    assert refused.value.sqlstate == "PT429"


def test_nobody_makes_a_row_of_organizations_or_members_themselves(people: People) -> None:
    person = people.join()
    organization = person.create()

    results = race(1, lambda _: person.do("insert into organizations (name) values ('Mine')")) + race(
        1,
        lambda _: person.do(
            "insert into organization_members (organization_id, user_id, role) values (%(o)s, %(u)s, 'member')",
            o=organization,
            u=people.join().id,
        ),
    )

    assert states(results) == ["42501", "42501"]
