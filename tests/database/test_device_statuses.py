"""How many devices have each status is known without reading them."""

from __future__ import annotations

import pytest

from tests.database.fixtures import Service, make_messages
from tests.database.test_rows_read import count_reads

FLEET = 2_000

Counts = dict[str, int]


@pytest.fixture(autouse=True)
def _none(service: Service) -> None:
    """No devices to begin with, whoever ran before and removed some behind the triggers' backs."""
    for table in ("devices", "private.device_tallies", "private.device_statuses"):
        service.as_owner(f"delete from {table}")


def read_told(service: Service) -> Counts:
    """What a scrape says."""
    told: Counts = service.one("select read_platform_metrics()")["devices"]
    return told


def count_rows(service: Service) -> Counts:
    """What is there."""
    rows = service.run("select status, count(*) from devices group by 1")
    return {row["status"]: row["count"] for row in rows}


def make_devices(service: Service, count: int) -> str:
    """Devices of a new integration."""
    integration = service.make_integration()
    service.as_owner(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " select %s, %s, 'unit-' || n, 'Unit' from generate_series(1, %s) n",
        service.organization_id,
        integration,
        count,
    )
    return integration


@pytest.mark.parametrize("then", ["select 1", "select sum_metrics()"])
def test_each_device_counts_with_its_status_until_it_is_gone(service: Service, then: str) -> None:
    seen = []
    first, second = (make_devices(service, count) for count in (30, 5))
    for step in (
        f"update devices set status = 'offline' where external_id < 'unit-2' and integration_id = '{first}'",
        "update devices set status = 'unknown' where external_id = 'unit-1'",
        "update devices set name = 'x', status = status",
        f"update devices set status = 'online', integration_id = '{second}' where external_id = 'unit-30'",
        f"delete from devices where integration_id = '{second}'",
        f"delete from device_integrations where id = '{first}'",
        f"delete from organizations where id = '{service.organization_id}'",
    ):
        service.as_owner(step)
        service.one(then)
        seen.append((read_told(service), count_rows(service)))

    assert [told for told, _ in seen] == [there for _, there in seen]
    assert seen[-1] == ({}, {})


def test_who_speaks_is_online(service: Service) -> None:
    integration = make_devices(service, 3)

    service.ingest(integration, make_messages(2, device="unit-1") + make_messages(1, device="new"))

    assert read_told(service) == {"unknown": 2, "online": 2}


def test_a_scrape_reads_no_device(service: Service) -> None:
    make_devices(service, FLEET)
    before = count_reads(service)

    assert read_told(service) == {"unknown": FLEET}
    assert count_reads(service) == before
