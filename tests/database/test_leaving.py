"""People leave and erase their accounts; an organization has an owner as long as it has anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import LiteralString

import psycopg
import pytest

from tests.database.people import People, Person, open_people
from tests.database.tenant import race, race_each
from tests.stack import Stack

ROUNDS = 6


@pytest.fixture
def people(stack: Stack) -> Iterator[People]:
    with open_people(stack) as opened:
        yield opened


def remove_row(person: Person, organization: str) -> None:
    person.do(
        "delete from organization_members where user_id = %(me)s and organization_id = %(o)s", o=organization
    )


def step_down(person: Person, organization: str) -> None:
    person.do(
        "update organization_members set role = 'viewer' where user_id = %(me)s and organization_id = %(o)s",
        o=organization,
    )


Way = Callable[[Person, str], None]
WAYS: list[Way] = [Person.leave, remove_row, step_down]


def test_whoever_leaves_sees_nothing_of_it_any_more(people: People) -> None:
    organization = people.join().create()
    member = people.add(organization, "member")

    member.leave(organization)

    assert member.do("select count(*) from organizations") == 0
    assert member.id not in people.roles(organization)


def test_nobody_leaves_where_they_do_not_belong(people: People) -> None:
    organization = people.join().create()

    with pytest.raises(psycopg.Error) as refused:
        people.join().leave(organization)

    assert refused.value.sqlstate == "PT404"


@pytest.mark.parametrize("way", WAYS)
def test_the_last_owner_does_not_go(people: People, way: Way) -> None:
    founder = people.join()
    organization = founder.create()
    people.add(organization, "admin")

    with pytest.raises(psycopg.errors.CheckViolation, match="keeps at least one owner"):
        way(founder, organization)

    assert people.roles(organization)[founder.id] == "owner"


def test_an_admin_makes_nobody_owner_and_removes_none(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    admin = people.add(organization, "admin")

    raised = race(
        1, lambda _: admin.do("update organization_members set role = 'owner' where user_id = %(me)s")
    )
    admin.do("delete from organization_members where user_id = %(id)s", id=founder.id)

    assert raised[0].sqlstate == "42501"
    assert people.roles(organization) == {founder.id: "owner", admin.id: "admin"}


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_of_two_owners_who_go_at_once_one_stays(people: People, first: Way, second: Way) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        other = people.add(organization, "owner")

        results = race_each(partial(first, founder, organization), partial(second, other, organization))

        assert [result.sqlstate for result in results if result is not None] == ["23514"]
        assert list(people.roles(organization).values()).count("owner") == 1


def test_of_two_owners_who_remove_each_other_one_stays(people: People) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        other = people.add(organization, "owner")
        remove: LiteralString = "delete from organization_members where user_id = %(id)s"

        race_each(partial(founder.do, remove, id=other.id), partial(other.do, remove, id=founder.id))

        assert list(people.roles(organization).values()) == ["owner"]


def test_the_last_owner_s_account_can_be_erased_and_who_is_next_in_rank_takes_over(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    viewer, admin, later = (people.add(organization, role) for role in ("viewer", "admin", "admin"))

    people.erase(founder)

    assert people.roles(organization) == {viewer.id: "viewer", admin.id: "owner", later.id: "admin"}
    assert not people.is_ended(organization)


def test_an_organization_whose_only_member_is_erased_ends(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    founder.do(
        "insert into device_integrations (organization_id, integration_type, name) values (%(o)s, 'mqtt', 'x')",
        o=organization,
    )

    people.erase(founder)

    assert people.is_ended(organization)
    assert (
        people.own("select status from device_integrations where organization_id = %(o)s", o=organization)
        == "inactive"
    )


def test_owners_who_leave_and_are_erased_at_once_leave_no_organization_without_an_owner(
    people: People,
) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        other, member = people.add(organization, "owner"), people.add(organization, "member")

        results = race_each(partial(founder.leave, organization), partial(people.erase, other))

        roles = people.roles(organization)
        assert results[1] is None
        assert list(roles.values()).count("owner") == 1
        assert other.id not in roles
        assert member.id in roles


def test_all_accounts_erased_at_once_end_it(people: People) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        everybody = [founder, *(people.add(organization, role) for role in ("owner", "admin", "viewer"))]

        results = race_each(*(partial(people.erase, person) for person in everybody))

        assert results == [None] * len(everybody)
        assert people.is_ended(organization)


def test_an_heir_who_leaves_at_the_same_moment_is_passed_over(people: People) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        heir, other = people.add(organization, "admin"), people.add(organization, "viewer")

        results = race_each(partial(people.erase, founder), partial(heir.leave, organization))

        roles = people.roles(organization)
        assert results[0] is None
        assert roles in ({other.id: "owner"}, {heir.id: "owner", other.id: "viewer"})
        assert (results[1] is None) == (heir.id not in roles)
