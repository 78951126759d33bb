"""Workers between a real service and Postgres, whatever ends meanwhile: nothing lost, nothing twice; commands out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.workers import Workers
from tests.fakes.grpc.server import TELL, WATCH, FakeService
from tests.fakes.grpc.site import COMMANDS, PAGES, STREAM
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

MANY = 8_000
BOTH = pytest.mark.parametrize("config", [STREAM, PAGES], ids=["stream", "pages"])


class ServiceSite(Workers):
    """An integration of a service."""

    def __init__(self, stack: Stack, service: FakeService) -> None:
        super().__init__(stack)
        self.service = service

    def connect(self, **config: Any) -> None:
        settings = {"target": f"127.0.0.1:{self.service.port}", "use_tls": False, "poll_interval_seconds": 5}
        self.id = self.admin.create("grpc", settings | config)["id"]

    @property
    def stored(self) -> list[int]:
        return self.list_stored("sequence")


@pytest.fixture
def site(stack: Stack) -> Iterator[ServiceSite]:
    with FakeService() as service:
        made = ServiceSite(stack, service)
        yield made
        made.kill_workers()


@BOTH
@pytest.mark.parametrize("seed", SEEDS)
def test_workers_killed_while_they_read_store_everything_once(
    site: ServiceSite, config: dict[str, Any], seed: int
) -> None:
    site.service.add(MANY)
    site.connect(**config)

    site.kill_while_reading(MANY, seed)

    assert site.stored == list(range(1, MANY + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_postgres_that_is_restarted_meanwhile_loses_nothing_and_stores_nothing_twice(
    site: ServiceSite, seed: int
) -> None:
    site.service.add(MANY)
    site.connect(**STREAM)

    site.restart_postgres_while_reading(seed)
    site.wait_for(MANY)

    assert site.stored == list(range(1, MANY + 1))


def test_what_a_stream_without_cursor_may_lose_is_in_the_activity_once(site: ServiceSite) -> None:
    site.service.add(10)
    site.connect(method=WATCH)
    site.start_worker()
    site.wait_for(10)
    site.kill_workers()
    site.start_worker()
    site.service.add(10)
    wait_until(lambda: site.count() >= 20, "nothing came")

    statement = "select count(*) from integration_activity where integration_id = %s and message like %s"
    wait_until(lambda: site.ask(statement, site.id, "%at most once%"), "nothing was told")
    assert site.ask(statement, site.id, "%at most once%") == 1


def test_a_command_reaches_the_service_and_its_answer_the_row(site: ServiceSite) -> None:
    site.service.add(1)
    site.connect(**STREAM, **COMMANDS)
    site.start_worker()
    site.wait_for(1)
    device = site.ask("select id from devices where integration_id = %s", site.id)

    body = {"device_id": str(device), "name": "start", "payload": {"speed": 3}}
    command = site.admin.call("POST", "/commands", json=body).json()["command"]
    status = "select status from device_commands where id = %s"
    wait_until(lambda: site.ask(status, command["id"]) == "confirmed", "it was not confirmed")

    ((request, _),) = site.service.told
    assert (TELL, request.device, request.action) == (TELL, "pump-1", "start")
    assert site.ask("select result from device_commands where id = %s", command["id"])["done"] is True


def test_a_service_that_may_not_be_reached_is_told_in_the_integration(site: ServiceSite) -> None:
    site.id = site.admin.create("grpc", {"target": "169.254.169.254:443", **STREAM})["id"]
    site.start_worker()

    assert "169.254.169.254 is at an address that no integration may reach" in site.wait_for_error()
