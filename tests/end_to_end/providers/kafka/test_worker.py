"""Workers between a real cluster and Postgres, whatever ends meanwhile: nothing lost, nothing twice; and events out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.workers import Workers
from tests.fakes.kafka.front import Front
from tests.fakes.kafka.site import PARTITIONS, TOPIC, make_readings, produce, read_all
from tests.platform import enqueue
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

MANY = 16_000
EVENTS = "devices.events"


class Site(Workers):
    """An integration of a cluster."""

    def __init__(self, stack: Stack, servers: str) -> None:
        super().__init__(stack)
        self.servers = servers

    def connect(self, **config: Any) -> None:
        settings = {"bootstrap_servers": self.servers, "security_protocol": "PLAINTEXT"}
        self.id = self.admin.create("kafka", settings | config)["id"]

    def read(self) -> None:
        self.connect(topics=TOPIC, start="beginning")

    @property
    def stored(self) -> list[int]:
        return self.list_stored("pressure")


@pytest.fixture
def site(stack: Stack, servers: str) -> Iterator[Site]:
    made = Site(stack, servers)
    yield made
    made.kill_workers()


def fill(servers: str, count: int) -> None:
    for partition in PARTITIONS:
        produce(servers, make_readings(range(partition, count, len(PARTITIONS))), partition=partition)


@pytest.mark.parametrize("seed", SEEDS)
def test_workers_killed_while_they_read_store_everything_once(site: Site, seed: int) -> None:
    fill(site.servers, MANY)
    site.read()

    site.kill_while_reading(MANY, seed)

    assert site.stored == list(range(MANY))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_postgres_that_is_restarted_meanwhile_loses_nothing_and_stores_nothing_twice(
    site: Site, seed: int
) -> None:
    fill(site.servers, MANY)
    site.read()

    site.restart_postgres_while_reading(seed)
    site.wait_for(MANY)

    assert site.stored == list(range(MANY))


def test_two_workers_read_one_integration_once(site: Site) -> None:
    fill(site.servers, MANY)
    for _ in range(2):
        site.start_worker()
    site.read()
    site.wait_for(MANY)

    assert site.stored == list(range(MANY))


def test_devices_times_and_tombstones_reach_their_rows(site: Site) -> None:
    produce(site.servers, [b'{"temperature": 1, "ts": "2026-11-29T13:14:15Z"}', None, b"\xff"], key="valve-3")
    site.read()
    site.start_worker()
    site.wait_for(3)

    rows = site.admin.rows(
        "device_messages", integration_id=f"eq.{site.id}", select="*,device:devices(external_id)"
    )
    assert {row["device"]["external_id"] for row in rows} == {"valve-3"}
    assert sorted((row["kind"], row["payload"] is None, row["error"] is None) for row in rows) == [
        ("event", True, False),
        ("state", True, True),
        ("telemetry", False, True),
    ]
    assert "2026-11-29T13:14:15+00:00" in {row["observed_at"] for row in rows}


def test_a_broker_that_may_not_be_reached_is_told_in_the_integration(site: Site) -> None:
    fill(site.servers, 10)
    with Front(site.servers, advertise=("169.254.169.254", 9092)) as front:
        site.servers = f"127.0.0.1:{front.port}"
        site.read()
        site.start_worker()
        error = site.wait_for_error()

    assert "169.254.169.254 is at an address that no integration may reach" in error


def test_events_go_out_and_what_a_killed_worker_repeats_has_the_same_id(site: Site) -> None:
    produce(site.servers, [b"{}"], topic=EVENTS)
    # A kill counts as a try, and what comes after it in its device's order waits for it.
    site.connect(events_topic=EVENTS, retry_schedule=[0] * 8)
    for number in range(20):
        enqueue(site.admin, 50, device=f"pump-{number % 3}", payload={"n": number})

    statement = "select count(*) from webhook_deliveries where integration_id = %s and status = 'delivered'"
    for _ in range(2):
        before = site.ask(statement, site.id)
        site.start_worker()
        wait_until(lambda before=before: site.ask(statement, site.id) > before, "nothing was delivered")  # type: ignore[misc]
        site.kill_workers()
    site.start_worker()
    wait_until(lambda: site.ask(statement, site.id) == 1_000, "not all was delivered")

    headers = [dict(record.headers() or []) for record in read_all(site.servers, EVENTS)]
    named = [each["event_id"] for each in headers if each]
    ids = [uuid.UUID(name.decode()) for name in named if isinstance(name, bytes)]
    assert len(set(ids)) == 1_000
    assert len(ids) - 1_000 <= 2 * 200


def test_an_event_that_the_cluster_does_not_take_is_tried_again_and_ends_as_a_dead_letter(site: Site) -> None:
    site.connect(events_topic="nowhere", retry_schedule=[0])
    enqueue(site.admin, 1)
    site.start_worker()
    status = "select status from webhook_deliveries where integration_id = %s"
    wait_until(lambda: site.ask(status, site.id) == "dead", "it is not dead")

    error = site.ask("select error from webhook_attempts order by started_at desc limit 1")
    assert "Nothing can be produced to the topic nowhere" in error
