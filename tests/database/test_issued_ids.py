"""Ids of integrations come from the database, to one user of one organization, and are never issued again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages
from tests.database.queue import enqueue, lease, make_webhook
from tests.database.tenant import open_tenant, race_each
from tests.database.test_row_level_security import act_as
from tests.stack import Stack


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with stack.connect() as opened:
        yield opened
        opened.rollback()


def issue(connection: psycopg.Connection[Any], organization_id: str | None) -> str:
    (issued,) = connection.execute("select issue_id(%s)", (organization_id,)).fetchone() or (None,)
    return str(issued)


def write(connection: psycopg.Connection[Any], organization_id: str | None, integration_id: str) -> Row:
    """What `write_integration` answers to a new integration of this id."""
    values: Row = {"id": integration_id, "organization_id": organization_id, "integration_type": "mqtt"}
    values |= {"name": integration_id, "status": "active", "settings": {}, "secret_names": []}
    (answer,) = connection.execute(
        "select write_integration('insert', %s)", (Jsonb({"values": values}),)
    ).fetchone() or ({},)
    return dict(answer)


def problem(answer: Row) -> str | None:
    return answer.get("problem", {}).get("code")  # type: ignore[no-any-return]


def test_an_issued_id_makes_one_integration(connection: psycopg.Connection[Any], stack: Stack) -> None:
    organization = stack.user("admin").organization_id
    act_as(connection, stack, "admin")
    issued = issue(connection, organization)

    answers = [write(connection, organization, issued) for _ in range(2)]

    assert answers[0]["integration"]["id"] == issued
    assert problem(answers[1]) == "22023"


def test_an_id_is_for_whom_it_was_issued_to_and_for_no_other_admin(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    organization = stack.user("admin").organization_id
    act_as(connection, stack, "admin")
    issued = issue(connection, organization)

    act_as(connection, stack, "owner")

    assert problem(write(connection, organization, issued)) == "22023"


def test_an_id_is_for_its_organization_and_for_no_other_of_the_same_user(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    here, there = (stack.user("owner", number).organization_id for number in (0, 1))
    connection.execute(
        "insert into organization_members (user_id, organization_id, role) values (%s, %s, 'admin')",
        (stack.user("owner", 0).id, there),
    )
    act_as(connection, stack, "owner")

    assert problem(write(connection, there, issue(connection, here))) == "22023"


def test_an_id_that_was_not_issued_is_refused_in_the_words_for_one_that_somebody_has(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    taken = connection.execute(
        "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', 'x')"
        " returning id",
        (stack.user("owner", 1).organization_id,),
    ).fetchone()
    assert taken is not None
    organization = stack.user("admin").organization_id
    act_as(connection, stack, "admin")

    ids = [str(taken[0]), "11111111-2222-4333-8444-555555555555"]
    answers = [write(connection, organization, each)["problem"] for each in ids]

    assert answers[0] == answers[1]


@pytest.mark.parametrize(("persona", "state"), [("member", "42501"), ("other_owner", "PT404")])
def test_only_admins_are_issued_ids(
    connection: psycopg.Connection[Any], stack: Stack, persona: str, state: str
) -> None:
    organization = stack.user("admin").organization_id
    act_as(connection, stack, persona)

    with pytest.raises(psycopg.Error) as refused:
        issue(connection, organization)

    assert refused.value.sqlstate == state


def test_nobody_hoards_ids(connection: psycopg.Connection[Any], stack: Stack) -> None:
    organization, admin = stack.user("admin").organization_id, stack.user("admin").id
    connection.execute(
        "insert into private.issued_ids (organization_id, user_id) select %s, %s from generate_series(1, 1000)",
        (organization, admin),
    )
    act_as(connection, stack, "admin")

    with pytest.raises(psycopg.Error, match="within an hour") as refused:
        issue(connection, organization)

    assert refused.value.sqlstate == "PT429"


def test_ids_that_nobody_used_are_forgotten_and_used_ones_never(service: Service) -> None:
    integration = service.make_integration()
    service.connection.execute("reset role")
    service.connection.execute(
        "insert into private.issued_ids (organization_id, user_id, issued_at)"
        " select %s, gen_random_uuid(), now() - make_interval(mins => n) from generate_series(0, 120, 60) n",
        (service.organization_id,),
    )
    service.connection.execute(
        "update private.issued_ids set issued_at = now() - interval '10 years' where id = %s", (integration,)
    )
    service.connection.execute("set local role service_role")

    pruned = service.one("select prune_issued_ids()")

    service.connection.execute("reset role")
    assert pruned == {"issued_ids": 1}
    assert service.one("select count(*) from private.issued_ids where id = %s", integration) == 1


def test_not_even_the_service_gives_an_id_of_something_gone_to_another(
    service: Service, stack: Stack
) -> None:
    gone = service.make_integration()
    service.connection.execute("delete from device_integrations where id = %s", (gone,))

    with pytest.raises(psycopg.Error, match="used before"):
        service.connection.execute(
            "insert into device_integrations (id, organization_id, integration_type, name)"
            " values (%s, %s, 'mqtt', 'Taken over')",
            (gone, stack.user("owner", 1).organization_id),
        )


def test_a_deleted_integration_ends_its_commands_and_its_deliveries(service: Service) -> None:
    webhook, broker = make_webhook(service), service.make_integration()
    enqueue(service, 1)
    service.ingest(broker, make_messages(1, device="lock"))
    command = service.one(
        "insert into device_commands (device_id, name)"
        " select id, 'unlock' from devices where external_id = 'lock' returning id"
    )

    service.connection.execute(
        "delete from device_integrations where id = any (%s::uuid[])", ([webhook, broker],)
    )

    (ended,) = service.run("select status, error, finished_at is not null as ended from device_commands")
    assert (ended["status"], ended["ended"]) == ("failed", True)
    assert "deleted" in ended["error"]
    assert service.one("select count(*) from device_commands where id = %s", command) == 1
    assert {row["status"] for row in service.run("select status from webhook_deliveries")} == {"cancelled"}
    assert (lease(service), service.one("select lease_commands(10, 30)")["commands"]) == ([], [])


def test_maintenance_ends_commands_that_a_deletion_has_missed(service: Service) -> None:
    broker = service.make_integration()
    service.ingest(broker, make_messages(1, device="lock"))
    service.connection.execute(
        "insert into device_commands (device_id, name) select id, 'unlock' from devices where external_id = 'lock'"
    )
    service.connection.execute("delete from device_integrations where id = %s", (broker,))
    service.connection.execute("update device_commands set status = 'pending', finished_at = null")

    before = service.one("select lease_commands(10, 30)")["commands"]
    service.run("select prune_history()")

    assert before == []
    assert service.one("select status from device_commands") == "failed"


BEGIN: LiteralString = (
    "select begin_provisioning(%(mine)s, jsonb_build_object('id', %(issued)s::uuid, 'request',"
    ' \'{"name": "x", "hardware_ids": [], "tags": []}\'::jsonb, \'metadata\', \'{}\'::jsonb,'
    " 'credentials', 'none', 'lease_seconds', 60))"
)
WRITE: LiteralString = (
    "select write_integration('insert', jsonb_build_object('values', jsonb_build_object('id', %(issued)s::uuid,"
    " 'organization_id', %(organization)s::uuid, 'integration_type', 'mqtt', 'name', gen_random_uuid(),"
    " 'status', 'active', 'settings', '{}'::jsonb, 'secret_names', '[]'::jsonb)))"
)


@pytest.mark.parametrize("other", [BEGIN, WRITE])
def test_of_two_who_redeem_an_id_at_once_for_whatever_it_is_one_gets_it(
    stack: Stack, other: LiteralString
) -> None:
    with open_tenant(stack) as tenant:
        mine = tenant.integrate()
        for _ in range(8):
            issued = tenant.act("select issue_id(%(organization)s)")

            told = race_each(
                partial(tenant.act, BEGIN, mine=mine, issued=issued),
                partial(tenant.act, other, mine=mine, issued=issued),
            )

            refused = [
                each
                for each in told
                if isinstance(each, psycopg.errors.InvalidParameterValue)
                or (isinstance(each, dict) and problem(each) == "22023")
            ]
            assert len(refused) == 1, told
