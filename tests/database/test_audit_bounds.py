"""Nobody fills the audit log, nobody makes it say what did not happen, and the operator can purge it in the open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.test_row_level_security import act_as
from tests.stack import Stack

MUCH = {f"field {number:04}": "x" * 100 for number in range(500)}


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with stack.connect() as opened:
        opened.execute("delete from private.rate_limits")
        yield opened
        opened.rollback()


def add_devices(connection: psycopg.Connection[Any], stack: Stack, count: int) -> None:
    connection.execute(
        "insert into devices (organization_id, external_id, name, device_type)"
        " select %s, 'audited ' || n, 'x', 'audited' from generate_series(1, %s) n",
        (stack.user("member").organization_id, count),
    )


def read_log(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """What was written to the log in this transaction, oldest first."""
    connection.execute("reset role")
    rows = connection.execute(
        "select to_jsonb(a) from audit_log a where created_at >= now() order by id"
    ).fetchall()
    return [row[0] for row in rows]


def test_a_large_change_is_recorded_by_its_small_fields_and_how_many_were_left_out(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    add_devices(connection, stack, 1)
    act_as(connection, stack, "member")

    connection.execute(
        "update devices set name = 'Renamed', metadata = %s where device_type = 'audited'", (Jsonb(MUCH),)
    )

    (row,) = read_log(connection)
    assert row["changed"]["name"] == {"old": "x", "new": "Renamed"}
    assert row["changed"]["left out"]["fields"] > 300
    assert len(str(row)) < 20_000


def test_of_many_devices_in_one_statement_a_hundred_are_recorded_and_how_many_more(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    add_devices(connection, stack, 250)
    act_as(connection, stack, "member")

    connection.execute("update devices set name = 'Renamed' where device_type = 'audited'")

    rows = read_log(connection)
    assert len(rows) == 101
    assert rows[-1]["changed"] == {"more rows": {"old": None, "new": 150}}
    assert (rows[-1]["row_id"], rows[-1]["action"]) == (stack.user("member").organization_id, "update")


def test_the_next_statement_is_counted_anew(connection: psycopg.Connection[Any], stack: Stack) -> None:
    add_devices(connection, stack, 250)
    act_as(connection, stack, "admin")
    connection.execute("update devices set name = 'Renamed' where device_type = 'audited'")

    connection.execute("delete from devices where external_id = 'audited 1'")

    assert read_log(connection)[-1]["action"] == "delete"


def test_a_user_writes_so_many_kilobytes_a_minute_and_is_refused_the_change_beyond(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    add_devices(connection, stack, 1)
    connection.execute("update private.budgets set per_minute = 20 where budget = 'audit'")
    act_as(connection, stack, "member")
    change = "update devices set metadata = %s where device_type = 'audited'"

    def attempt(number: int) -> str | None:
        try:
            with connection.transaction():
                connection.execute(change, (Jsonb({name: f"{text}{number}" for name, text in MUCH.items()}),))
        except psycopg.Error as error:
            return error.sqlstate
        return None

    states = [attempt(number) for number in range(6)]

    assert states[0] is None
    assert states[-1] == "PT429"
    assert len(str(read_log(connection))) < 100_000


def test_what_somebody_says_they_do_elsewhere_is_told_from_what_was_seen_to_happen(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    act_as(connection, stack, "admin")
    made = connection.execute(
        "insert into device_integrations (organization_id, integration_type, name) values (%s, 'golioth', 'x')"
        " returning id",
        (stack.user("admin").organization_id,),
    ).fetchone()

    connection.execute("select record_remote_write(%s, 'state', 'delete', '{\"path\": \"/a\"}')", made)

    assert [(row["table_name"], row["source"]) for row in read_log(connection)] == [
        ("device_integrations", "database"),
        ("remote.state", "request"),
    ]


def purge(connection: psycopg.Connection[Any], organization: str | None, why: str) -> Any:
    (purged,) = connection.execute(
        "select private.purge_audit_log(%s, now() + interval '1 hour', %s)", (organization, why)
    ).fetchone() or (None,)
    return purged


def test_the_operator_purges_with_a_reason_that_stays(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    organization, other = (stack.user("owner", number).organization_id for number in (0, 1))
    connection.execute("update organizations set name = name || ' renamed'")
    before = connection.execute("select organization_id::text, count(*) from audit_log group by 1").fetchall()

    purged = purge(connection, organization, "A member had flooded it; ticket 4711.")

    after = connection.execute("select organization_id::text, count(*) from audit_log group by 1").fetchall()
    assert purged == dict(before)[organization]
    assert (dict(after)[organization], dict(after)[other]) == (1, dict(before)[other])
    assert read_log(connection)[-1]["changed"]["why"]["new"] == "A member had flooded it; ticket 4711."


def test_without_a_reason_nothing_is_purged(connection: psycopg.Connection[Any], stack: Stack) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        purge(connection, stack.user("owner").organization_id, " ")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_nobody_else_purges(connection: psycopg.Connection[Any], stack: Stack, role: str) -> None:
    connection.execute(f"set local role {role}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        purge(connection, stack.user("owner").organization_id, "Because I can, and nobody stops me.")


def test_after_a_purge_the_log_is_as_closed_as_before(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    purge(connection, stack.user("owner").organization_id, "A member had flooded it; ticket 4711.")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from audit_log")


@pytest.mark.parametrize("kind", ["matrix", "syncs", "x" * 40])
def test_a_job_of_a_kind_that_nobody_knows_how_to_do_is_refused(
    connection: psycopg.Connection[Any], stack: Stack, kind: str
) -> None:
    act_as(connection, stack, "admin")

    with pytest.raises(
        psycopg.errors.InvalidParameterValue, match="backfill, provision, redecode, rollout, sync"
    ):
        connection.execute(
            "insert into integration_jobs (organization_id, integration_id, kind) values (%s, gen_random_uuid(), %s)",
            (stack.user("admin").organization_id, kind),
        )
