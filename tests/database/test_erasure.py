"""An organization that ends is out of reach at once, however large; what it had is erased in batches."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.database.estate import build_estate
from tests.database.people import People, Person, become, open_people
from tests.database.tenant import race, race_each
from tests.database.test_tenants import READABLE
from tests.stack import Stack

ROUNDS = 6
STATEMENT_TIMEOUT = "8s"
"""What hosted projects give the API's roles."""

FILL: tuple[LiteralString, ...] = (
    (
        "insert into devices (organization_id, integration_id, external_id, name)"
        " select %(o)s, %(i)s, n::text, 'x' from generate_series(1, 60000) n"
    ),
    (
        "insert into device_messages (organization_id, integration_id, event_id, kind, observed_at, received_at)"
        " select %(o)s, %(i)s, n::text, 'event', now(), now() from generate_series(1, 80000) n"
    ),
    (
        "insert into webhook_deliveries (organization_id, integration_id, event_type, message_id,"
        " message_received_at, status) select %(o)s, %(w)s, 'device.event', gen_random_uuid(), now(), 'dead'"
        " from generate_series(1, 20000) n"
    ),
    (
        "insert into webhook_attempts (organization_id, delivery_id, attempt, started_at, milliseconds)"
        " select %(o)s, d.id, n, now(), 1 from webhook_deliveries d, generate_series(1, 3) n"
        " where d.organization_id = %(o)s"
    ),
    (
        "insert into device_commands (device_id, name, status, finished_at)"
        " select d.id, 'x', 'sent', now() from devices d where d.organization_id = %(o)s limit 20000"
    ),
    (
        "insert into integration_jobs (organization_id, integration_id, kind, status, finished_at)"
        " select %(o)s, %(i)s, 'sync', 'done', now() from generate_series(1, 5000) n"
    ),
    (
        "insert into integration_activity (organization_id, integration_id, kind, message)"
        " select %(o)s, %(i)s, 'session', 'x' from generate_series(1, 20000) n"
    ),
    (
        "insert into device_integrations (organization_id, integration_type, name, status, settings)"
        " select %(o)s, 'webhook', n::text, 'inactive', '{\"events\": [\"*\"]}' from generate_series(1, 998) n"
    ),
)
STAYS = {"private.issued_ids", "private.message_ledger", "public.audit_log"}
"""What is kept for its own time, and holds nothing of what devices said: ids, and who did what."""


@pytest.fixture
def people(stack: Stack) -> Iterator[People]:
    with open_people(stack) as opened:
        yield opened


def add_integration(people: People, organization: str, integration_type: str = "mqtt") -> str:
    return str(
        people.own(
            "insert into device_integrations (organization_id, integration_type, name)"
            " values (%(o)s, %(type)s, %(type)s) returning id",
            o=organization,
            type=integration_type,
        )
    )


def fill(people: People, organization: str) -> int:
    """So many rows that no statement could delete them in time; how many."""
    names = {"o": organization, "i": add_integration(people, organization)}
    names["w"] = add_integration(people, organization, "webhook")
    with people.stack.connect() as connection:
        made = [connection.execute(statement, names).rowcount for statement in FILL]
    return sum(made)


def erase(stack: Stack) -> tuple[dict[str, int], float]:
    """One call of maintenance, within the timeout: its counts and seconds."""
    with stack.connect() as connection:
        connection.execute(SQL("set statement_timeout = {}").format(STATEMENT_TIMEOUT))
        connection.execute("set local role service_role")
        begun = time.monotonic()
        (counts,) = connection.execute("select erase_organizations()").fetchone() or ({},)
        return counts, time.monotonic() - begun


def count_seen(people: People, person: Person, organization: str) -> int:
    """How many rows of the organization an account still sees, over all tables."""
    with people.stack.connect() as connection:
        tables = [name for name, columns in connection.execute(READABLE) if "organization_id" in columns]
        become(connection, person)
        seen = 0
        for table in tables:
            statement = SQL("select count(*) from {} where organization_id = %s").format(Identifier(table))
            (count,) = connection.execute(statement, (organization,)).fetchone() or (0,)
            seen += count
    return seen


@pytest.mark.parametrize(("role", "state"), [("admin", "42501"), ("viewer", "42501"), (None, "PT404")])
def test_nobody_but_an_owner_ends_it(people: People, role: str | None, state: str) -> None:
    organization = people.join().create()
    person = people.add(organization, role) if role else people.join()

    with pytest.raises(psycopg.Error) as refused:
        person.end(organization)

    assert refused.value.sqlstate == state
    assert not people.is_ended(organization)


@pytest.mark.parametrize("who", ["owner", "operator"])
def test_it_is_out_of_reach_of_all_its_members_at_once(people: People, who: str) -> None:
    founder = people.join()
    organization = founder.create()
    members = [founder, *(people.add(organization, role) for role in ("owner", "admin", "member", "viewer"))]
    add_integration(people, organization)
    before = [count_seen(people, member, organization) for member in members]

    if who == "owner":
        founder.end(organization)
    else:
        people.own("select private.end_organization(%(o)s)", o=organization)

    assert min(before) > 0
    assert [count_seen(people, member, organization) for member in members] == [0] * len(members)
    assert [member.do("select count(*) from organizations") for member in members] == [0] * len(members)
    with pytest.raises(psycopg.Error) as refused:
        founder.do("select issue_id(%(o)s)", o=organization)
    assert refused.value.sqlstate in ("PT404", "42501")


def give_work(people: People, organization: str) -> None:
    """Something that waits for each kind of worker, asked for by its owner: a replay goes out of what is off, too."""
    names = {"o": organization, "i": add_integration(people, organization)}
    names["w"] = str(
        people.own(
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            " values (%(o)s, 'webhook', 'w', '{\"events\": [\"*\"]}') returning id",
            o=organization,
        )
    )
    people.own(
        "insert into devices (organization_id, integration_id, external_id, name) values (%(o)s, %(i)s, 'd', 'd')",
        **names,
    )
    people.own(
        "insert into device_commands (device_id, name)"
        " select id, 'x' from devices where integration_id = %(i)s and external_id = 'd'",
        **names,
    )
    people.own(
        "insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at,"
        " replayed_at) select %(o)s, %(w)s, 'device.event', gen_random_uuid(), now(), r"
        " from unnest(array[now(), null]) r",
        **names,
    )
    people.own(
        "insert into integration_jobs (organization_id, integration_id, kind) values (%(o)s, %(i)s, 'sync')",
        **names,
    )


WORK: tuple[LiteralString, ...] = (
    "select organization_id from lease_sessions(1000, 30)",
    "select (integration ->> 'organization_id')::uuid from lease_jobs(1000, 30)",
    "select (d ->> 'organization_id')::uuid from json_array_elements(lease_deliveries(1000, 30) -> 'deliveries') d",
    "select (c ->> 'organization_id')::uuid from json_array_elements(lease_commands(1000, 30) -> 'commands') c",
)


@pytest.mark.parametrize("work", WORK)
def test_nothing_of_it_is_worked_on_any_more(people: People, work: LiteralString) -> None:
    founder = people.join()
    organization, other = founder.create(), founder.create()
    give_work(people, organization)
    give_work(people, other)

    founder.end(organization)

    with people.stack.connect() as connection:
        connection.execute("set local role service_role")
        leased = {str(row[0]) for row in connection.execute(work).fetchall()}
        connection.rollback()
    assert leased & {organization, other} == {other}


def test_one_that_has_all_it_may_have_can_be_ended_by_its_owner(people: People) -> None:
    founder = people.join()
    organization = founder.create()
    people.own(
        "insert into device_integrations (organization_id, integration_type, name)"
        " select %(o)s, 'mqtt', n::text from generate_series(1, 1000) n",
        o=organization,
    )
    people.own(
        "with made as (insert into auth.users (id, email) select gen_random_uuid(), gen_random_uuid() || '@people.test'"
        " from generate_series(1, 499) returning id) insert into organization_members (organization_id, user_id, role)"
        " select %(o)s, id, 'viewer' from made",
        o=organization,
    )

    founder.end(organization)

    assert people.roles(organization) == {}
    told = people.own(
        "select jsonb_agg(changed) from audit_log where organization_id = %(o)s and actor_id = %(id)s"
        " and action = 'update'",
        o=organization,
        id=founder.id,
    )
    assert told == [{"ended": {"old": False, "new": True}}]
    people.own("delete from auth.users where email like '%%@people.test' and email_confirmed_at is null")


def test_two_hundred_thousand_rows_go_in_batches_none_of_which_takes_long(
    people: People, stack: Stack, record_property: Any
) -> None:
    founder, neighbour = people.join(), people.join()
    organization, other = founder.create(), neighbour.create()
    add_integration(people, other)
    rows = fill(people, organization)

    begun = time.monotonic()
    founder.end(organization)
    ended = time.monotonic() - begun
    seconds, erased = [], 0
    while people.is_ended(organization):
        counts, took = erase(stack)
        seconds.append(took)
        erased += counts["organization_rows"]

    record_property(
        "seconds", f"{rows} rows, end {ended:.2f}, {len(seconds)} calls, longest {max(seconds):.2f}"
    )
    assert rows > 200_000
    assert erased >= rows - 60_000  # attempts go with their deliveries
    assert people.own("select count(*) from organizations where id = %(o)s", o=organization) == 0
    assert (
        people.own("select count(*) from device_messages where organization_id = %(o)s", o=organization) == 0
    )
    assert count_seen(people, neighbour, other) > 0


def test_nothing_is_left_of_it_but_its_audit_log_and_spent_ids(people: People, stack: Stack) -> None:
    founder = people.join()
    organization = founder.create()
    with stack.connect() as connection:
        connection.cursor_factory = psycopg.ClientCursor
        estate = build_estate(connection, organization)
        founder_rows = len(estate.rows())
        connection.execute("select private.end_organization(%s)", (organization,))
        connection.execute("select erase_organizations(100000)")

        left = {f"{schema}.{table}" for schema, table in estate.tables()}
        connection.rollback()

    assert founder_rows > len(STAYS)
    assert left <= STAYS


def test_two_that_erase_at_once_do_not_wait_for_each_other_nor_erase_twice(
    people: People, stack: Stack
) -> None:
    founder = people.join()
    organizations = [founder.create(str(number)) for number in range(4)]
    for organization in organizations:
        add_integration(people, organization)
        founder.end(organization)

    results = race(4, lambda _: erase(stack)[0])

    assert sum(counts["organizations_erased"] for counts in results) == len(organizations)
    assert [people.is_ended(organization) for organization in organizations] == [False] * 4


def test_what_is_added_while_it_ends_is_switched_off_or_refused(people: People) -> None:
    for _ in range(ROUNDS):
        founder = people.join()
        organization = founder.create()
        admin = people.add(organization, "admin")
        name = str(uuid.uuid4())

        results = race_each(
            partial(
                admin.do,
                "insert into device_integrations (organization_id, integration_type, name)"
                " values (%(o)s, 'mqtt', %(n)s)",
                o=organization,
                n=name,
            ),
            partial(founder.end, organization),
        )

        status = people.own("select status from device_integrations where name = %(n)s", n=name)
        assert results[1] is None
        assert status in (None, "inactive")
        assert (status is None) == isinstance(results[0], psycopg.Error)
