"""Nobody belongs without their consent, nor by an invitation that is not theirs or no longer holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.database.people import DOMAIN, NO_SUCH_INVITATION, People, Person, open_people
from tests.database.tenant import race, race_each
from tests.stack import Stack

AT_ONCE = 8
ROUNDS = 6


@pytest.fixture
def people(stack: Stack) -> Iterator[People]:
    with open_people(stack) as opened:
        yield opened


def refusal(person: Person, invitation: str) -> tuple[str | None, str | None]:
    """How an acceptance is refused."""
    with pytest.raises(psycopg.Error) as refused:
        person.accept(invitation)
    return refused.value.sqlstate, refused.value.diag.message_primary


GONE = ("PT404", NO_SUCH_INVITATION)


def states(results: list[Any]) -> list[str | None]:
    return [result.sqlstate for result in results if isinstance(result, psycopg.Error)]


@pytest.mark.parametrize("role", ["viewer", "member", "admin", "owner"])
def test_whoever_accepts_belongs_as_what_they_were_asked(people: People, role: str) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()

    joined = guest.accept(founder.invite(organization, guest.email, role))

    assert joined == role
    assert people.roles(organization) == {founder.id: "owner", guest.id: role}
    assert guest.do("select count(*) from organizations") == 1
    assert founder.do("select count(*) from organization_invitations") == 0


def test_nobody_belongs_before_they_accept_and_all_they_see_is_who_asks(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create("Acme")

    founder.invite(organization, guest.email, "admin")

    assert people.roles(organization) == {founder.id: "owner"}
    assert guest.do("select count(*) from organizations") == 0
    assert guest.do("select organization_name || ' ' || role from list_invitations()") == "Acme admin"


def test_an_invitation_of_somebody_else_is_as_good_as_none(people: People) -> None:
    founder, guest, thief = people.join(), people.join(), people.join()
    squatter = people.join(f"squatter@{DOMAIN}", confirmed=False)
    organization = founder.create()
    invitation = founder.invite(organization, guest.email, "owner")
    theirs = founder.invite(organization, squatter.email, "owner")

    refusals = [refusal(thief, invitation), refusal(squatter, theirs), refusal(thief, str(uuid.uuid4()))]

    assert refusals == [GONE] * 3
    assert [person.do("select count(*) from list_invitations()") for person in (thief, squatter)] == [0, 0]
    assert people.roles(organization) == {founder.id: "owner"}


def test_an_address_is_the_same_in_capitals(people: People) -> None:
    founder, guest = people.join(), people.join(f"Ana.Lopez@{DOMAIN}")
    organization = founder.create()

    invitation = founder.invite(organization, f"  ANA.lopez@{DOMAIN.upper()} ", "viewer")

    assert guest.accept(invitation) == "viewer"


@pytest.mark.parametrize(
    ("invited", "account"),
    [
        ("kim", "\u212aim"),  # the Kelvin sign, whose small letter is k
        ("\u212aim", "kim"),
        ("info", "\u0131nfo"),  # i without its dot
        ("info", "\u0130nfo"),  # I with one
        ("max", "\uff4dax"),  # m of full width
        ("max", "m\u0430x"),  # a of Cyrillic
        ("jos\u00e9", "jose\u0301"),  # the same to the eye, another mailbox to a server
        ("max", "max\u200b"),  # a space of no width
    ],
)
def test_an_address_that_looks_alike_is_another(people: People, invited: str, account: str) -> None:
    founder = people.join()
    guest = people.join(f"{account}@{DOMAIN}")
    organization = founder.create()

    invitation = founder.invite(organization, f"{invited}@{DOMAIN}")

    assert refusal(guest, invitation) == GONE


@pytest.mark.parametrize("email", ["", "x", "a@b@c", "a b@c", "@", "a@", "a@b\n", "x" * 320 + "@x", None])
def test_what_is_no_address_is_refused_by_its_field(people: People, email: Any) -> None:
    founder = people.join()
    organization = founder.create()

    if email == "a@b\n":
        email = "a\n@b"
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="email: expected one address"):
        founder.invite(organization, email)


@pytest.mark.parametrize("role", ["", "Owner", "superuser", None])
def test_a_role_that_is_none_is_refused_by_its_field(people: People, role: Any) -> None:
    founder = people.join()

    with pytest.raises(psycopg.errors.InvalidParameterValue, match="role: expected viewer, member"):
        founder.invite(founder.create(), f"x@{DOMAIN}", role)


@pytest.mark.parametrize(
    ("inviter", "role", "state"),
    [
        ("admin", "owner", "42501"),
        ("admin", "admin", None),
        ("member", "viewer", "42501"),
        ("viewer", "viewer", "42501"),
        (None, "viewer", "PT404"),
    ],
)
def test_nobody_invites_above_their_rank(
    people: People, inviter: str | None, role: str, state: str | None
) -> None:
    organization = people.join().create()
    person = people.add(organization, inviter) if inviter else people.join()

    results = race(1, lambda _: person.invite(organization, f"x@{DOMAIN}", role))

    assert states(results) == ([state] if state else [])


def demote(people: People, organization: str, person: Person, role: str | None) -> None:
    """As an owner does: another role, or out."""
    owner = people.add(organization, "owner")
    if role is None:
        owner.do("delete from organization_members where user_id = %(id)s", id=person.id)
    else:
        owner.do(
            "update organization_members set role = %(role)s where user_id = %(id)s", id=person.id, role=role
        )


@pytest.mark.parametrize(
    ("inviter", "invited_as", "becomes"),
    [
        ("owner", "owner", "admin"),
        ("owner", "viewer", "member"),
        ("admin", "admin", "viewer"),
        ("admin", "viewer", None),
    ],
)
def test_what_somebody_offered_who_may_no_longer_is_no_offer(
    people: People, inviter: str, invited_as: str, becomes: str | None
) -> None:
    organization = people.join().create()
    person, guest = people.add(organization, inviter), people.join()
    invitation = person.invite(organization, guest.email, invited_as)

    demote(people, organization, person, becomes)

    assert refusal(guest, invitation) == GONE


def test_who_was_removed_does_not_come_back_by_an_invitation_that_lay_about(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    member = people.add(organization, "admin")
    spare = people.join()
    invitations = [
        founder.invite(organization, member.email, "admin"),
        member.invite(organization, spare.email, "admin"),
    ]

    demote(people, organization, member, None)

    assert [refusal(member, invitations[0]), refusal(spare, invitations[1])] == [GONE, GONE]
    assert founder.do("select count(*) from organization_invitations") == 0


def test_an_invitation_ends_by_itself(people: People) -> None:
    founder, guest = people.join(), people.join()
    invitation = founder.invite(founder.create(), guest.email)

    people.own("update organization_invitations set expires_at = now() where id = %(id)s", id=invitation)

    assert refusal(guest, invitation) == GONE
    assert guest.do("select count(*) from list_invitations()") == 0


def test_maintenance_forgets_those_that_ended_long_ago(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    old, kept = (founder.invite(organization, f"{n}@{DOMAIN}") for n in range(2))
    people.own(
        "update organization_invitations set expires_at = now() - interval '8 days' where id = %(id)s", id=old
    )

    people.own("select prune_invitations()")

    assert str(founder.do("select id from organization_invitations")) == kept


def test_an_invitation_makes_one_member_however_often_it_is_accepted_at_once(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()
    invitation = founder.invite(organization, guest.email)

    results = race(AT_ONCE, lambda _: guest.accept(invitation))

    assert states(results) == ["PT404"] * (AT_ONCE - 1)
    assert people.roles(organization) == {founder.id: "owner", guest.id: "member"}


@pytest.mark.parametrize(("has", "offered"), [("owner", "viewer"), ("viewer", "admin")])
def test_who_belongs_already_stays_what_they_are(people: People, has: str, offered: str) -> None:
    founder = people.join()
    organization = founder.create()
    member = people.add(organization, has)

    assert member.accept(founder.invite(organization, member.email, offered)) == has
    assert people.roles(organization)[member.id] == has


def test_a_new_invitation_takes_the_place_of_the_old(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()
    first = founder.invite(organization, guest.email, "owner")

    second = founder.invite(organization, guest.email, "viewer")

    assert refusal(guest, first) == GONE
    assert guest.accept(second) == "viewer"


def test_an_invitation_is_declined_by_the_invited_and_taken_back_by_admins_alone(people: People) -> None:
    founder, guest, stranger = people.join(), people.join(), people.join()
    organization = founder.create()
    viewer = people.add(organization, "viewer")
    founder.invite(organization, guest.email)
    remove = "with gone as (delete from organization_invitations returning id) select count(*) from gone"

    assert [person.do(remove) for person in (stranger, viewer, guest)] == [0, 0, 1]
    founder.invite(organization, guest.email)
    assert people.add(organization, "admin").do(remove) == 1


def test_an_invitation_says_nothing_of_whether_there_is_such_an_account(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()
    shown = "select to_jsonb(i) - 'id' - 'email' from invite_member(%(o)s, %(email)s, 'viewer') i"

    told = [
        founder.do(shown, o=organization, email=email) for email in (guest.email, f"{uuid.uuid4()}@{DOMAIN}")
    ]

    assert [sorted(each) for each in told] == [sorted(told[0])] * 2
    assert told[0]["invited_by"] == told[1]["invited_by"] == founder.id


def test_a_flood_of_invitations_ends_at_a_rate_and_at_a_number(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    people.own(
        "insert into private.quotas (organization_id, bound, most) values (%(o)s, 'invitations', 3)",
        o=organization,
    )

    founder.invite(organization, f"again@{DOMAIN}")

    full = race(AT_ONCE, lambda number: founder.invite(organization, f"{number}@{DOMAIN}"))
    fast = race(24, lambda _: founder.invite(organization, f"again@{DOMAIN}"))

    assert states(full) == ["PT409"] * (AT_ONCE - 2)
    assert "PT429" in states(fast)
    assert founder.do("select count(*) from organization_invitations") == 3


def test_members_who_come_at_once_keep_to_the_bound(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    guests = [people.join() for _ in range(AT_ONCE)]
    invitations = [founder.invite(organization, guest.email) for guest in guests]
    people.own(
        "insert into private.quotas (organization_id, bound, most) values (%(o)s, 'members', 4)",
        o=organization,
    )

    results = race(AT_ONCE, lambda number: guests[number].accept(invitations[number]))

    assert states(results) == ["PT409"] * (AT_ONCE - 3)
    assert len(people.roles(organization)) == 4


def test_an_organization_that_ended_takes_nobody_in(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()
    invitation = founder.invite(organization, guest.email)

    founder.end(organization)

    assert refusal(guest, invitation) == GONE


def test_who_accepts_while_it_ends_does_not_stay_behind_in_it(people: People) -> None:
    for _ in range(ROUNDS):
        founder, guest = people.join(), people.join()
        organization = founder.create()
        invitation = founder.invite(organization, guest.email)

        results = race_each(partial(guest.accept, invitation), partial(founder.end, organization))

        assert results[1] is None
        assert people.roles(organization) == {}


def test_who_accepts_while_the_inviter_is_removed_comes_before_or_not_at_all(people: People) -> None:
    for _ in range(ROUNDS):
        owner, guest = people.join(), people.join()
        organization = owner.create()
        admin = people.add(organization, "admin")
        invitation = admin.invite(organization, guest.email)

        results = race_each(
            partial(guest.accept, invitation),
            partial(owner.do, "delete from organization_members where user_id = %(id)s", id=admin.id),
        )

        joined = guest.id in people.roles(organization)
        assert (results[0] == "member") == joined
        assert joined or results[0].sqlstate == "PT404"


def test_the_audit_log_says_who_asked_and_who_came_and_no_address(people: People) -> None:
    founder, guest = people.join(), people.join()
    organization = founder.create()
    guest.accept(founder.invite(organization, guest.email))

    rows = people.own(
        "select jsonb_agg(to_jsonb(a) order by id) from audit_log a where organization_id = %(o)s",
        o=organization,
    )

    told = [(row["table_name"], row["action"], row["actor_id"]) for row in rows]
    assert told == [
        ("organizations", "insert", founder.id),
        ("organization_members", "insert", founder.id),
        ("organization_invitations", "insert", founder.id),
        ("organization_invitations", "delete", guest.id),
        ("organization_members", "insert", guest.id),
    ]
    assert guest.email not in str(rows)
