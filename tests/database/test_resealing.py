"""Sealing anew, in the database: nobody's change is overwritten, and nobody is disturbed."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service
from tests.stack import Stack

FIRST = uuid.UUID(int=0)


def make_sealed(service: Service, sealed: str | None, **fields: Any) -> str:
    """A new integration with these sealed credentials; its id."""
    integration = service.make_integration(**fields)
    if sealed is not None:
        service.seal(integration, sent=sealed)
    return integration


def read_stale(service: Service, key_id: str, after: uuid.UUID = FIRST, limit: int = 100) -> list[str]:
    return [
        str(row["id"])
        for row in service.run("select * from read_stale_seals(%s, %s, %s)", key_id, after, limit)
    ]


def replace(service: Service, integration: str, sealed: str, seal_count: int = 1) -> int:
    seals = Jsonb([{"id": integration, "seal_count": seal_count, "sealed_sent": sealed}])
    return int(service.one("select replace_seals(%s)", seals))


def explain(service: Service, integration: str, error: str = "It does not open.", seal_count: int = 1) -> int:
    failures = Jsonb([{"id": integration, "seal_count": seal_count, "error": error}])
    return int(service.one("select explain_unopened(%s)", failures))


def read_row(service: Service, integration: str) -> Row:
    (row,) = service.run("select * from device_integrations where id = %s", integration)
    return row


def test_what_another_key_sealed_is_stale_and_nothing_else_is(service: Service) -> None:
    make_sealed(service, "k2.abc")
    make_sealed(service, None)
    stale = {make_sealed(service, sealed) for sealed in ("k1.abc", "k22.abc", "junk", "x" * 5000, "")}

    met = read_stale(service, "k2")

    assert set(met) == stale


def test_stale_rows_come_in_pages_by_id(service: Service) -> None:
    stale = sorted(make_sealed(service, f"k1.{number}") for number in range(5))

    first = read_stale(service, "k2", limit=3)
    rest = read_stale(service, "k2", after=uuid.UUID(first[-1]), limit=3)

    assert (first, rest) == (stale[:3], stale[3:])


def test_the_integrations_of_each_key_are_counted(service: Service) -> None:
    for sealed in ("k1.a", "k1.b", "k2.a", None, "never sealed", '{"password": "a.b"}'):
        make_sealed(service, sealed)

    rows = service.run("select * from count_sealed()")

    assert [(row["key_id"], row["integrations"]) for row in rows] == [("", 2), ("k1", 2), ("k2", 1)]


def test_sealing_anew_is_no_change_to_anyone(service: Service) -> None:
    integration = make_sealed(service, "k1.old")
    lease, before = service.lease(integration), read_row(service, integration)
    schedule = service.run("select * from integration_schedules")

    replaced = replace(service, integration, "k2.new")

    assert (replaced, service.sealed(integration)) == (1, ("k2.new", None, 1))
    assert read_row(service, integration) == before | {"api_key_encrypted": "k2"}
    assert service.run("select * from integration_schedules") == schedule
    service.run("select finish_session(%s, %s)", integration, lease["lease_token"])


def test_the_next_change_in_the_same_transaction_counts_as_one(service: Service) -> None:
    integration = make_sealed(service, "k1.old")
    service.lease(integration)
    before = read_row(service, integration)
    replace(service, integration, "k2.new")

    service.seal(integration, sent="k2.newer")

    assert read_row(service, integration)["updated_at"] > before["updated_at"]
    assert service.one("select lease_token from integration_schedules") is None


def test_what_was_changed_meanwhile_is_not_overwritten(service: Service) -> None:
    integration = make_sealed(service, "k1.old")
    service.seal(integration, sent="k1.changed")

    replaced = replace(service, integration, "k2.new", seal_count=1)

    assert replaced == 0
    assert service.sealed(integration) == ("k1.changed", None, 2)


def test_what_somebody_is_just_changing_is_left_to_them_without_waiting(stack: Stack) -> None:
    organization = stack.user("owner", 0).organization_id
    with stack.connect() as setup:
        row = setup.execute(
            "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', %s)"
            " returning id",
            (organization, str(uuid.uuid4())),
        ).fetchone()
        assert row is not None
        setup.execute(
            "insert into private.integration_secrets (integration_id, organization_id, sealed_sent)"
            " values (%s, %s, 'k1.old')",
            (row[0], organization),
        )
    seals = Jsonb([{"id": str(row[0]), "seal_count": 1, "sealed_sent": "k2.new"}])

    with stack.connect() as changing, stack.connect() as resealing:
        changing.execute(
            "update private.integration_secrets set sealed_sent = 'k1.mine' where integration_id = %s", row
        )
        resealing.execute("set local lock_timeout = '1 s'")
        replaced = resealing.execute("select replace_seals(%s)", (seals,)).fetchone()

    with stack.connect() as connection:
        kept = connection.execute(
            "select sealed_sent from private.integration_secrets where integration_id = %s", row
        ).fetchone()
        connection.execute("delete from device_integrations where id = %s", row)
    assert (replaced, kept) == ((0,), ("k1.mine",))


def test_credentials_that_do_not_open_are_told_once(service: Service) -> None:
    integration, other = make_sealed(service, "k0.lost"), make_sealed(service, "k0.fine")
    before = read_row(service, other)

    told = [explain(service, integration, "Key k0 is missing.") for _ in range(2)]

    row = read_row(service, integration)
    assert told == [1, 0]
    assert (row["status"], row["error_message"], row["sync_status"]) == (
        "error",
        "Key k0 is missing.",
        "failed",
    )
    (entry,) = service.run("select integration_id, kind, level, message from integration_activity")
    assert tuple(entry.values()) == (
        row["id"], "credentials.unopened", "error", "Key k0 is missing.",
    )  # fmt: skip
    assert read_row(service, other) == before


def test_a_failure_to_open_what_was_replaced_meanwhile_is_not_told(service: Service) -> None:
    integration = make_sealed(service, "k0.lost")
    service.seal(integration, sent="k1.entered-again")

    told = explain(service, integration, seal_count=1)

    assert told == 0
    assert read_row(service, integration)["status"] == "active"


def test_an_inactive_integration_stays_inactive_and_says_why_it_would_not_work(service: Service) -> None:
    integration = make_sealed(service, "k0.lost")
    service.connection.execute("update device_integrations set status = 'inactive'")

    explain(service, integration)

    row = read_row(service, integration)
    assert (row["status"], row["error_message"]) == ("inactive", "It does not open.")
    assert service.run("select * from lease_sessions(10, 30)") == []


def test_a_parked_integration_is_woken_to_see_for_itself(service: Service) -> None:
    integration = make_sealed(service, "k0.lost", integration_type="webhook")
    lease = service.lease(integration)
    service.run("select park_session(%s, %s)", integration, lease["lease_token"])

    explain(service, integration)

    assert service.lease(integration)


def test_the_keys_are_read_from_the_vault_and_no_other_secret_is(service: Service) -> None:
    service.connection.execute("reset role")
    without = service.one("select read_integration_keys()")
    service.connection.execute("select vault.create_secret('other', 'another_secret')")
    service.connection.execute("select vault.create_secret('k1:abc', 'integration_keys')")
    service.connection.execute("set local role service_role")

    keys = service.one("select read_integration_keys()")

    assert (without, keys) == (None, "k1:abc")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_user_reads_the_keys(service: Service, role: str) -> None:
    service.connection.execute("reset role")
    service.connection.execute(f"set local role {role}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.run("select read_integration_keys()")


def test_a_devices_key_is_sealed_anew_like_an_integrations_secrets(service: Service) -> None:
    integration = make_sealed(service, "k2.abc")
    provisioning = service.one(
        "insert into device_provisionings (organization_id, integration_id, request, credentials, makes_device, due_at)"
        " values (%s, %s, '{}', 'psk', true, now()) returning id",
        service.organization_id,
        integration,
    )
    service.connection.execute("reset role")
    service.connection.execute(
        "insert into private.provisioning_secrets (provisioning_id, organization_id, sealed) values (%s, %s, 'k1.abc')",
        (provisioning, service.organization_id),
    )
    service.connection.execute("set local role service_role")
    stale = service.run("select * from read_stale_seals('k2', %s, 100)", FIRST)
    counts = {row["key_id"]: row["integrations"] for row in service.run("select * from count_sealed()")}

    seals = Jsonb([{"id": str(provisioning), "seal_count": 1, "sealed_kept": "k2.def"}])
    replaced = service.one("select replace_seals(%s)", seals)

    assert [(row["id"], row["integration_type"], row["sealed_kept"]) for row in stale] == [
        (provisioning, "device_credentials", "k1.abc")
    ]
    assert (counts, replaced, read_stale(service, "k2")) == ({"k1": 1, "k2": 1}, 1, [])


def test_only_one_of_both_texts_is_not_taken_for_both(service: Service) -> None:
    integration = service.make_integration()
    service.seal(integration, sent="k1.sent", kept="k1.kept")

    replaced = replace(service, integration, "k2.sent")

    assert (replaced, service.sealed(integration)) == (0, ("k1.sent", "k1.kept", 1))
