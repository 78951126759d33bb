"""Whose turn it is: organizations first, least served first; no flood, id or size of one is another's delay."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages

FLOOD = """
insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at, due_at)
select i.organization_id, i.id, 'device.telemetry', gen_random_uuid(), now(), now() - interval '1 hour'
  from device_integrations i cross join generate_series(1, %s) where i.organization_id = %s
"""
QUEUES = ("sessions", "deliveries", "commands", "jobs")


@pytest.fixture
def victim(service: Service) -> Service:
    """Another organization, whose ids are higher than everybody's."""
    organization_id = "ffffffff" + str(uuid.uuid4())[8:]
    service.as_owner("insert into organizations (id, name) values (%s, 'Victim')", organization_id)
    return Service(service.connection, organization_id)


def make_waiting(of: Service, kind: str, integrations: int, each: int) -> None:
    """So many integrations of an organization, each with so much that waits."""
    ids = [of.make_integration("webhook", events=["*"]) for _ in range(integrations)]
    if kind == "deliveries":
        of.connection.execute(FLOOD, (each, of.organization_id))
    elif kind == "jobs":
        for number in range(each):
            of.connection.execute(
                "insert into integration_jobs (organization_id, integration_id, kind, due_at)"
                " select organization_id, id, %s, now() - interval '1 hour' from device_integrations"
                " where id = any (%s::uuid[])",
                (f"kind_{number}", ids),
            )
    elif kind == "commands":
        of.connection.execute(
            "with made as (insert into devices (organization_id, integration_id, external_id, name)"
            " select organization_id, id, 'a', 'a' from device_integrations where id = any (%s::uuid[])"
            " returning organization_id, integration_id, id)"
            " insert into device_commands (organization_id, integration_id, device_id, name, due_at)"
            " select m.organization_id, m.integration_id, m.id, 'reboot', now() - interval '1 hour'"
            " from made m cross join generate_series(1, %s)",
            (ids, each),
        )


def lease(service: Service, kind: str, limit: int, shares: Row | None = None) -> list[str]:
    """The organizations of what is leased."""
    wanted = Jsonb(shares or {})
    if kind in {"deliveries", "commands"}:
        answer = service.one(f"select lease_{kind}(%s, 60, p_shares => %s)", limit, wanted)
        return [row["organization_id"] for row in answer[kind]]
    rows = service.run(f"select * from lease_{kind}(%s, 60, p_shares => %s)", limit, wanted)
    return [str(row.get("organization_id") or row["integration"]["organization_id"]) for row in rows]


@pytest.mark.parametrize("kind", QUEUES)
def test_whoever_comes_is_served_with_the_next_lease_however_much_another_has_waiting(
    service: Service, victim: Service, kind: str
) -> None:
    make_waiting(service, kind, 30, 10)
    lease(service, kind, 8)
    make_waiting(victim, kind, 1, 1)

    assert victim.organization_id in lease(service, kind, 2)


@pytest.mark.parametrize("kind", QUEUES)
def test_organizations_share_a_lease_whatever_the_number_of_their_integrations(
    service: Service, victim: Service, kind: str
) -> None:
    make_waiting(service, kind, 30, 2)
    make_waiting(victim, kind, 6, 2)

    leased = Counter(lease(service, kind, 12))

    assert leased == {service.organization_id: 6, victim.organization_id: 6}


@pytest.mark.parametrize("kind", QUEUES)
def test_a_process_gives_an_organization_no_more_than_its_share(
    service: Service, victim: Service, kind: str
) -> None:
    make_waiting(service, kind, 20, 2)
    make_waiting(victim, kind, 20, 2)

    leased = Counter(lease(service, kind, 20, {"each": 5, "of": {service.organization_id: 0}}))

    assert leased == {victim.organization_id: 5}


@pytest.mark.parametrize("kind", QUEUES)
def test_nobody_waits_for_more_than_one_turn_of_each_other_organization(
    service: Service, victim: Service, kind: str
) -> None:
    others = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in range(60)]
    for organization_id in others:
        service.as_owner("insert into organizations (id, name) values (%s, 'Hoarder')", organization_id)
        make_waiting(Service(service.connection, organization_id), kind, 1, 5)
    lease(service, kind, 20)
    make_waiting(victim, kind, 1, 1)

    # Among those that were never served no one comes first.
    before: Counter[str] = Counter()
    while victim.organization_id not in (leased := Counter(lease(service, kind, len(others) + 1))):
        assert leased
        before += leased

    assert leased[victim.organization_id] == 1
    assert max([*before.values(), *leased.values()]) <= 4


def test_those_that_can_send_nothing_put_nobody_off(service: Service, victim: Service) -> None:
    for _ in range(40):
        webhook = service.make_integration("webhook", events=["*"])
        service.connection.execute(
            "insert into webhook_endpoints (integration_id, organization_id, circuit, probe_at)"
            " values (%s, %s, 'open', now() + interval '1 hour')",
            (webhook, service.organization_id),
        )
    service.connection.execute(FLOOD, (50, service.organization_id))
    make_waiting(victim, "deliveries", 1, 3)

    leases = [lease(service, "deliveries", 1) for _ in range(3)]

    assert leases == [[victim.organization_id]] * 3


def test_a_lease_of_configs_is_bounded_in_bytes_and_all_get_their_turn(service: Service) -> None:
    for _ in range(6):
        service.make_integration(notes="A" * 100_000)

    sizes = [len(service.run("select * from lease_sessions(100, 30, p_bytes => 250000)")) for _ in range(3)]

    assert sizes == [3, 3, 0]


def test_a_lease_of_commands_is_bounded_in_bytes(service: Service) -> None:
    make_waiting(service, "commands", 2, 4)
    service.connection.execute("update device_commands set payload = %s", (Jsonb({"image": "A" * 100_000}),))

    leased: dict[str, Any] = service.one("select lease_commands(100, 60, p_bytes => 250000)")

    assert len(leased["commands"]) == 3


def test_a_lease_of_deliveries_counts_the_configs_that_go_along(service: Service) -> None:
    for _ in range(6):
        service.make_integration("webhook", events=["*"], notes="A" * 100_000)
    service.ingest(service.make_integration(), make_messages(1))

    leased: dict[str, Any] = service.one("select lease_deliveries(100, 60, 250000)")

    assert len(leased["deliveries"]) == 3
