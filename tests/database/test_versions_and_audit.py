"""What counts as a change somebody made, for the version and for the audit log; and who reaches what lies beneath."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service
from tests.database.test_row_level_security import act_as
from tests.stack import Stack


@pytest.fixture
def sealed(service: Service) -> str:
    """An integration with sealed secrets."""
    integration_id = service.make_integration(port=1883)
    service.connection.execute(
        "update device_integrations set secret_names = '{password}' where id = %s", (integration_id,)
    )
    service.seal(integration_id, sent="old.abc")
    return integration_id


def state_of(service: Service, integration_id: str) -> tuple[Any, ...]:
    """Version, updated_at, and how many audit rows there are."""
    (row,) = service.run(
        "select version, updated_at, (select count(*) from audit_log where row_id = i.id) as changes"
        " from device_integrations i where id = %s",
        integration_id,
    )
    return tuple(row.values())


def test_sealing_the_same_secrets_anew_is_no_change(service: Service, sealed: str) -> None:
    before = state_of(service, sealed)

    seals = [{"id": sealed, "seal_count": 1, "sealed_sent": "new.def"}]
    replaced = service.one("select replace_seals(%s)", Jsonb(seals))

    assert replaced == 1
    assert state_of(service, sealed) == before


def test_other_credentials_written_by_the_service_are_a_change(service: Service, sealed: str) -> None:
    version, _, changes = state_of(service, sealed)

    service.seal(sealed, sent="new.def")

    assert (state_of(service, sealed)[0], state_of(service, sealed)[2]) == (version + 1, changes + 1)


def test_whom_people_are_told_at_does_not_stay_in_the_audit_log(service: Service) -> None:
    places = ("+4917099988801", "ada@canary-mail.test")
    made = service.make_integration("twilio", recipients=[{"name": "Ada", "to": places[0]}])
    changed_to = Jsonb({"recipients": [{"name": "Ada", "to": places[1]}]})
    service.connection.execute(
        "update device_integrations set settings = settings || %s where id = %s", (changed_to, made)
    )

    logged = service.run(
        "select changed -> 'settings.recipients' as r from audit_log where row_id = %s", made
    )
    assert [place for place in places if place in str(logged)] == []
    (changed,) = [row["r"] for row in logged if row["r"] and row["r"]["old"]]
    assert changed == {
        "old": [{"name": "Ada", "to": "***8801"}],
        "new": [{"name": "Ada", "to": "***test"}],
    }


@pytest.mark.parametrize(("status", "counted"), [("error", 0), ("inactive", 1)])
def test_of_what_the_service_sets_as_status_only_inactive_is_a_decision(
    service: Service, sealed: str, status: str, counted: int
) -> None:
    version, _, changes = state_of(service, sealed)

    service.connection.execute("update device_integrations set status = %s where id = %s", (status, sealed))

    assert (state_of(service, sealed)[0], state_of(service, sealed)[2]) == (
        version + counted,
        changes + counted,
    )


def test_a_status_that_an_admin_sets_is_a_change(service: Service, stack: Stack, sealed: str) -> None:
    version, _, changes = state_of(service, sealed)
    service.connection.execute("update device_integrations set status = 'error' where id = %s", (sealed,))

    act_as(service.connection, stack, "admin")
    service.connection.execute("update device_integrations set status = 'active' where id = %s", (sealed,))

    assert (state_of(service, sealed)[0], state_of(service, sealed)[2]) == (version + 1, changes + 1)


def test_a_plain_insert_past_the_api_goes_on_working_and_is_audited(stack: Stack) -> None:
    with stack.connect() as connection:
        organization_id = stack.user("admin", 0).organization_id
        act_as(connection, stack, "admin")

        made = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', 'Plain')"
            " returning id",
            (organization_id,),
        ).fetchone()

        assert made is not None
        logged = connection.execute("select action from audit_log where row_id = %s", made).fetchall()
        connection.rollback()
    assert logged == [("insert",)]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_nobody_reaches_the_buckets_but_through_their_function(stack: Stack, role: str) -> None:
    with stack.connect() as connection:
        connection.execute(f"set local role {role}")

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from private.rate_limits")


@pytest.mark.parametrize("persona", ["admin", "owner", "viewer", "other_owner"])
def test_nobody_sees_an_idempotency_key_not_even_their_own(stack: Stack, persona: str) -> None:
    with stack.connect() as connection:
        connection.execute(
            "insert into private.idempotency_keys (user_id, key, organization_id, fingerprint)"
            " values (%s, 'k', %s, 'f')",
            (stack.user("admin", 0).id, stack.user("admin", 0).organization_id),
        )

        act_as(connection, stack, persona)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select key from private.idempotency_keys where key = 'k'")
        connection.rollback()


def write_with_key(connection: psycopg.Connection[Any], organization_id: str | None, name: str) -> Any:
    """An insert through `write_integration` under the idempotency key k; its answer."""
    issued = connection.execute("select issue_id(%s)", (organization_id,)).fetchone()
    assert issued is not None
    values: Row = {"id": str(issued[0]), "organization_id": organization_id, "integration_type": "mqtt"}
    values |= {"name": name, "status": "active", "settings": {}, "secret_names": []}
    write = Jsonb({"values": values, "key": "k", "fingerprint": name})
    (answer,) = connection.execute("select write_integration('insert', %s)", (write,)).fetchone() or (None,)
    return answer


def test_a_key_is_answered_with_its_first_reply_and_that_only_where_it_was_given(stack: Stack) -> None:
    here, there = (stack.user("owner", organization).organization_id for organization in (0, 1))
    with stack.connect() as connection:
        connection.execute(
            "insert into organization_members (user_id, organization_id, role) values (%s, %s, 'admin')",
            (stack.user("owner", 0).id, there),
        )
        act_as(connection, stack, "owner")

        first = write_with_key(connection, there, "Keyed")
        again = write_with_key(connection, there, "Keyed again")
        elsewhere = write_with_key(connection, here, "Keyed")
        connection.rollback()

    assert (again["fingerprint"], again["integration"]) == ("Keyed", first["integration"])
    assert (elsewhere["fingerprint"], elsewhere["integration"]) == ("", None)


def test_an_unknown_action_is_refused_in_words(stack: Stack) -> None:
    with stack.connect() as connection:
        act_as(connection, stack, "admin")

        (result,) = connection.execute("select write_integration('upsert', '{}')").fetchone() or (None,)
        connection.rollback()

    assert result["problem"]["code"] == "22023"
