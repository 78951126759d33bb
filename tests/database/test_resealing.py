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
    service.connection.execute(
        "update device_integrations set api_key_encrypted = %s where id = %s", (sealed, integration)
    )
    return integration


def read_stale(service: Service, key_id: str, after: uuid.UUID = FIRST, limit: int = 100) -> list[str]:
    return [
        str(row["id"])
        for row in service.run("select * from read_stale_seals(%s, %s, %s)", key_id, after, limit)
    ]


def replace(service: Service, integration: str, was: str, sealed: str) -> int:
    seals = Jsonb([{"id": integration, "was": was, "sealed": sealed}])
    return int(service.one("select replace_seals(%s)", seals))


def explain(service: Service, integration: str, was: str, error: str = "It does not open.") -> int:
    failures = Jsonb([{"id": integration, "was": was, "error": error}])
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

    replaced = replace(service, integration, "k1.old", "k2.new")

    assert replaced == 1
    assert read_row(service, integration) == before | {"api_key_encrypted": "k2.new"}
    assert service.run("select * from integration_schedules") == schedule
    service.run("select finish_session(%s, %s)", integration, lease["lease_token"])


def test_the_next_change_in_the_same_transaction_counts_as_one(service: Service) -> None:
    integration = make_sealed(service, "k1.old")
    service.lease(integration)
    before = read_row(service, integration)
    replace(service, integration, "k1.old", "k2.new")

    service.connection.execute("update device_integrations set api_key_encrypted = 'k2.newer'")

    assert read_row(service, integration)["updated_at"] > before["updated_at"]
    assert service.one("select lease_token from integration_schedules") is None


def test_what_was_changed_meanwhile_is_not_overwritten(service: Service) -> None:
    integration = make_sealed(service, "k1.changed")

    replaced = replace(service, integration, "k1.old", "k2.new")

    assert replaced == 0
    assert read_row(service, integration)["api_key_encrypted"] == "k1.changed"


def test_what_somebody_is_just_changing_is_left_to_them_without_waiting(stack: Stack) -> None:
    with stack.connect() as setup:
        row = setup.execute(
            "insert into device_integrations (organization_id, integration_type, name, api_key_encrypted)"
            " values (%s, 'mqtt', %s, 'k1.old') returning id",
            (stack.user("owner", 0).organization_id, str(uuid.uuid4())),
        ).fetchone()
    assert row is not None
    seals = Jsonb([{"id": str(row[0]), "was": "k1.old", "sealed": "k2.new"}])

    with stack.connect() as changing, stack.connect() as resealing:
        changing.execute("update device_integrations set api_key_encrypted = 'k1.mine' where id = %s", row)
        resealing.execute("set local lock_timeout = '1 s'")
        replaced = resealing.execute("select replace_seals(%s)", (seals,)).fetchone()

    with stack.connect() as connection:
        kept = connection.execute(
            "delete from device_integrations where id = %s returning api_key_encrypted", row
        ).fetchone()
    assert (replaced, kept) == ((0,), ("k1.mine",))


def test_credentials_that_do_not_open_are_told_once(service: Service) -> None:
    integration, other = make_sealed(service, "k0.lost"), make_sealed(service, "k0.fine")
    before = read_row(service, other)

    told = [explain(service, integration, "k0.lost", "Key k0 is missing.") for _ in range(2)]

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
    integration = make_sealed(service, "k1.entered-again")

    told = explain(service, integration, "k0.lost")

    assert told == 0
    assert read_row(service, integration)["status"] == "active"


def test_an_inactive_integration_stays_inactive_and_says_why_it_would_not_work(service: Service) -> None:
    integration = make_sealed(service, "k0.lost")
    service.connection.execute("update device_integrations set status = 'inactive'")

    explain(service, integration, "k0.lost")

    row = read_row(service, integration)
    assert (row["status"], row["error_message"]) == ("inactive", "It does not open.")
    assert service.run("select * from lease_sessions(10, 30)") == []


def test_a_parked_integration_is_woken_to_see_for_itself(service: Service) -> None:
    integration = make_sealed(service, "k0.lost", integration_type="webhook")
    lease = service.lease(integration)
    service.run("select park_session(%s, %s)", integration, lease["lease_token"])

    explain(service, integration, "k0.lost")

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
        "insert into device_provisionings"
        " (organization_id, integration_id, request, credentials, sealed, makes_device, due_at)"
        " values (%s, %s, '{}', 'psk', 'k1.abc', true, now()) returning id",
        service.organization_id,
        integration,
    )
    stale = service.run("select * from read_stale_seals('k2', %s, 100)", FIRST)
    counts = {row["key_id"]: row["integrations"] for row in service.run("select * from count_sealed()")}

    replaced = replace(service, str(provisioning), "k1.abc", "k2.def")

    assert [(row["id"], row["integration_type"]) for row in stale] == [(provisioning, "device_credentials")]
    assert (counts, replaced, read_stale(service, "k2")) == ({"k1": 1, "k2": 1}, 1, [])
