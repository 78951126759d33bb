"""Jobs that begin by themselves: which, when, and never two of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.database.fixtures import Service


def plan(service: Service) -> int:
    return int(service.one("select plan_syncs()"))


def age_jobs(service: Service, seconds: int) -> None:
    service.connection.execute(
        "update integration_jobs set status = 'done', created_at = now() - make_interval(secs => %s)",
        (seconds,),
    )


def test_a_sync_is_planned_when_its_interval_is_over_and_not_before(service: Service) -> None:
    service.make_integration("golioth", sync_direction="import", sync_interval_seconds=120)

    first, at_once = plan(service), plan(service)
    age_jobs(service, 100)
    early = plan(service)
    age_jobs(service, 121)

    assert (first, at_once, early, plan(service)) == (1, 0, 0, 1)


@pytest.mark.parametrize(
    "settings", [{}, {"sync_direction": "off"}, {"sync_direction": 5}, {"sync_direction": "sideways"}]
)
def test_no_sync_is_planned_where_the_settings_ask_for_none(
    service: Service, settings: dict[str, Any]
) -> None:
    service.make_integration("golioth", **settings)

    assert plan(service) == 0


@pytest.mark.parametrize(("interval", "seconds"), [("soon", 900), (1, 60), (10**30, 604_800), (None, 900)])
def test_an_interval_written_past_the_api_stops_nobody(service: Service, interval: Any, seconds: int) -> None:
    service.make_integration("golioth", sync_direction="both", sync_interval_seconds=interval)
    plan(service)
    age_jobs(service, seconds - 5)
    early = plan(service)
    age_jobs(service, seconds + 5)

    assert (early, plan(service)) == (0, 1)


def test_an_inactive_integration_is_not_synced_and_a_dry_run_is_no_sync(service: Service) -> None:
    integration = service.make_integration("golioth", sync_direction="import")
    service.connection.execute(
        "insert into integration_jobs (organization_id, integration_id, kind, request, status)"
        """ values (%s, %s, 'sync', '{"dry_run": true}', 'done')""",
        (service.organization_id, integration),
    )

    assert plan(service) == 1
    service.connection.execute("delete from integration_jobs")
    service.connection.execute("update device_integrations set status = 'inactive'")
    assert plan(service) == 0


def test_the_last_sync_is_remembered_for_as_long_as_its_interval(service: Service) -> None:
    service.make_integration("golioth", sync_direction="import", sync_interval_seconds=604_800)
    plan(service)
    service.connection.execute(
        "update integration_jobs set status = 'done', created_at = now() - interval '3 days',"
        " finished_at = now() - interval '3 days'"
    )

    service.run("select prune_jobs()")

    assert plan(service) == 0


def test_what_is_being_provisioned_is_in_the_way_of_no_other(service: Service) -> None:
    for name in ("a", "b"):
        integration = service.make_integration("golioth")
        service.as_owner(
            "with made as ("
            "  insert into devices (organization_id, integration_id, external_id, name) values (%s, %s, %s, 'x')"
            "  returning organization_id, integration_id, id)"
            " insert into device_provisionings"
            "   (organization_id, integration_id, device_id, request, credentials, makes_device, due_at)"
            " select organization_id, integration_id, id, '{\"name\": \"x\"}', 'none', false, now() from made",
            service.organization_id,
            integration,
            name,
        )

    planned = [service.one("select plan_provisionings(1)") for _ in range(3)]

    assert planned == [1, 1, 0]
