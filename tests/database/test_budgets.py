"""Rate limits are the operator's to say: no caller chooses what a call costs, and none goes round them past the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.test_row_level_security import act_as
from tests.stack import Stack


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with stack.connect() as opened:
        opened.execute("delete from private.rate_limits")
        yield opened
        opened.rollback()


def set_budget(
    connection: psycopg.Connection[Any],
    budget: str,
    whose: str,
    per_minute: int,
    organization: str | None = None,
) -> None:
    connection.execute(
        "insert into private.budgets (organization_id, budget, whose, per_minute) values (%s, %s, %s, %s)"
        " on conflict (budget, whose, organization_id) do update set per_minute = excluded.per_minute",
        (organization, budget, whose, per_minute),
    )


def attempt(connection: psycopg.Connection[Any], statement: LiteralString, **values: Any) -> str | None:
    """The SQLSTATE of the refusal, None where there was none."""
    try:
        with connection.transaction():
            connection.execute(statement, values)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def ask(connection: psycopg.Connection[Any], statement: LiteralString, *values: Any) -> Any:
    """The first value of the first row."""
    row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def charge_device(connection: psycopg.Connection[Any], stack: Stack) -> None:
    """A device that commands can be sent to."""
    connection.execute(
        "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', 'Charged')",
        (stack.user("member").organization_id,),
    )
    connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " select organization_id, id, 'charged', 'x' from device_integrations where name = 'Charged'"
    )


def write(connection: psycopg.Connection[Any]) -> Any:
    """A call of `write_integration` that fails for another reason than its limits; its answer."""
    return ask(connection, "select write_integration('delete', '{}')")


def test_no_function_that_users_may_call_takes_a_limit(stack: Stack) -> None:
    with stack.connect() as connection:
        taking = connection.execute(
            "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
            " and has_function_privilege('authenticated', oid, 'execute') and proargnames && '{p_limits,p_per_minute}'"
        ).fetchall()

    assert taking == []


def test_a_write_always_costs_its_token(connection: psycopg.Connection[Any], stack: Stack) -> None:
    set_budget(connection, "write", "user", 2)
    act_as(connection, stack, "admin")

    answers = [write(connection) for _ in range(3)]

    assert ["problem" in answer for answer in answers] == [True, True, False]
    assert [answer["limits"]["allowed"] for answer in answers] == [True, True, False]


def test_a_member_takes_nothing_from_what_admins_of_the_organization_share(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    organization = stack.user("member").organization_id
    act_as(connection, stack, "member")

    taken = ask(connection, "select take_tokens('write', %s)", organization)

    assert set(taken["policies"]) == {"user"}


@pytest.mark.parametrize("budget", ["receive", "change", "audit", "invite", "mine"])
def test_only_what_the_api_takes_by_itself_can_be_taken_by_hand(
    connection: psycopg.Connection[Any], stack: Stack, budget: str
) -> None:
    act_as(connection, stack, "admin")

    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("select take_tokens(%s)", (budget,))


@pytest.mark.parametrize(
    "statement",
    [
        "update organizations set name = name",
        "update organization_members set role = role where role = 'viewer'",
        "delete from organization_members where false",
        "update device_integrations set name = name where false",
        "delete from device_integrations where false",
        "update devices set name = name where false",
        "delete from devices where false",
        "insert into devices (organization_id, external_id, name) values (%(organization)s, gen_random_uuid(), 'x')",
        (
            "insert into device_integrations (organization_id, integration_type, name)"
            " values (%(organization)s, 'mqtt', gen_random_uuid())"
        ),
        (
            "insert into integration_jobs (organization_id, integration_id, kind)"
            " values (%(organization)s, %(integration)s, 'sync') on conflict do nothing"
        ),
        "select record_test(%(integration)s)",
        "select record_remote_write(%(integration)s, 'state', 'update', '{\"a\": 1}')",
        "select replay_deliveries(%(integration)s)",
        "select cancel_deliveries(%(integration)s)",
        "select replay_messages(%(integration)s, '[]')",
        "select issue_id(%(organization)s)",
    ],
)
def test_what_is_written_past_the_api_costs_a_token_too(
    connection: psycopg.Connection[Any], stack: Stack, statement: LiteralString
) -> None:
    organization = stack.user("owner").organization_id
    made = connection.execute(
        "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', 'Charged')"
        " returning id",
        (organization,),
    ).fetchone()
    assert made is not None
    set_budget(connection, "change", "user", 2)
    act_as(connection, stack, "owner")

    states = [
        attempt(connection, statement, organization=organization, integration=made[0]) for _ in range(3)
    ]

    assert states == [None, None, "PT429"]


def test_the_refusal_says_how_long_to_wait(connection: psycopg.Connection[Any], stack: Stack) -> None:
    set_budget(connection, "change", "user", 1)
    act_as(connection, stack, "owner")
    connection.execute("update organizations set name = name")

    with pytest.raises(psycopg.Error, match=r"try again in (5\d|60) s") as refused:
        connection.execute("update organizations set name = name")

    assert refused.value.diag.message_hint == "rate_limited"


@pytest.mark.parametrize(("kilobytes", "sent"), [(1, 3), (7, 1)])
def test_commands_past_the_api_cost_what_they_cost_through_it(
    connection: psycopg.Connection[Any], stack: Stack, kilobytes: int, sent: int
) -> None:
    charge_device(connection, stack)
    set_budget(connection, "command", "user", 3)
    act_as(connection, stack, "member")
    # Random, for what is compressed is counted as it came.
    payload = Jsonb({"x": "".join(chr(33 + (n * n * 7919) % 90) for n in range(kilobytes * 1000))})

    states = [
        attempt(
            connection,
            "insert into device_commands (device_id, name, payload)"
            " select id, 'x', %(payload)s from devices where external_id = 'charged'",
            payload=payload,
        )
        for _ in range(4)
    ]

    assert states == [None] * sent + ["PT429"] * (4 - sent)


def test_many_commands_in_one_statement_cost_as_many(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    charge_device(connection, stack)
    set_budget(connection, "command", "organization", 5)
    act_as(connection, stack, "member")

    states = [
        attempt(
            connection,
            "insert into device_commands (device_id, name)"
            " select id, 'x' from devices, generate_series(1, %(count)s) where external_id = 'charged'",
            count=count,
        )
        for count in (6, 4)
    ]

    assert states == ["PT429", None]


def test_an_organization_may_have_budgets_of_its_own(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    organization = stack.user("admin").organization_id
    set_budget(connection, "write", "organization", 1, organization)
    act_as(connection, stack, "admin")

    taken = ask(connection, "select take_tokens('write', %s)", organization)

    policy = taken["policies"]["organization"]
    assert 55 < policy.pop("seconds") <= 60
    assert policy == {"limit": 1, "allowed": True, "remaining": 0}


def test_zero_is_no_limit(connection: psycopg.Connection[Any], stack: Stack) -> None:
    for whose in ("user", "organization"):
        set_budget(connection, "write", whose, 0)
    act_as(connection, stack, "admin")

    taken = ask(connection, "select take_tokens('write')")

    assert taken == {"allowed": True, "policies": {}}


def test_the_service_is_not_charged(connection: psycopg.Connection[Any]) -> None:
    set_budget(connection, "change", "user", 1)
    connection.execute("set local role service_role")

    states = [attempt(connection, "update devices set name = name where false") for _ in range(3)]

    assert states == [None] * 3


def test_what_is_larger_than_a_bucket_takes_a_full_one_and_no_less(
    connection: psycopg.Connection[Any],
) -> None:
    take = "select private.take_token('11111111-1111-1111-1111-111111111111', 'write', 7, %s)"

    taken: list[Any] = [ask(connection, take, count) for count in (100, 1)]

    assert [row["allowed"] for row in taken] == [True, False]
    assert taken[0]["remaining"] == 0
    assert 4 < taken[1]["seconds"] <= 9


BY_HAND: LiteralString = "select take_tokens('command', %(organization)s, p_tokens => 1000)"
BY_A_LARGE_COMMAND: LiteralString = (
    "select send_command(jsonb_build_object('device_id', (select id from devices where external_id = 'charged'),"
    " 'name', 'x', 'payload', repeat('x', 5000000)))"
)


@pytest.mark.parametrize("statement", [BY_HAND, BY_A_LARGE_COMMAND])
def test_nobody_takes_more_of_what_all_share_than_of_their_own(
    connection: psycopg.Connection[Any], stack: Stack, statement: LiteralString
) -> None:
    organization = stack.user("member").organization_id
    charge_device(connection, stack)
    set_budget(connection, "command", "user", 2)
    set_budget(connection, "command", "organization", 5)
    act_as(connection, stack, "member")
    for _ in range(3):
        connection.execute(statement, {"organization": organization})
    connection.execute("reset role")

    act_as(connection, stack, "admin")
    taken = ask(connection, "select take_tokens('command', %s)", organization)

    policy = taken["policies"]["organization"]
    assert 7 < policy.pop("seconds") <= 12
    assert policy == {"limit": 5, "allowed": True, "remaining": 2}
