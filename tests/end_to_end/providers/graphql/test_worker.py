"""Workers between a real API and Postgres, whatever ends meanwhile: nothing lost, nothing twice; and commands out."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.workers import Workers
from tests.fakes.graphql import FakeGraphql
from tests.fakes.graphql.driver import LIVE, READ, STREAM, make_reading, make_readings
from tests.platform import run_tick
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

MANY = 3_000


@pytest.fixture
def site(stack: Stack) -> Iterator[Workers]:
    made = Workers(stack)
    yield made
    made.kill_workers()


def connect(site: Workers, api: FakeGraphql, **config: Any) -> None:
    site.id = site.admin.create("graphql", {"endpoint": api.url} | config)["id"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "config",
    [READ | LIVE, READ | LIVE | {"protocol": "sse"}, STREAM],
    ids=["socket", "events", "stream"],
)
def test_workers_killed_while_they_read_store_everything_once(
    site: Workers, api: FakeGraphql, config: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    api.readings, api.behaviour.page = make_readings(MANY), 50
    connect(site, api, **config)

    for number in range(3):
        site.start_until_more(MANY + 100 * number)
        api.add(*make_readings(100, first=MANY + 100 * number))
        time.sleep(chance.uniform(0, 0.2))
        site.kill_workers()
    site.start_worker()
    site.wait_for(MANY + 300)

    assert site.list_stored("id") == list(range(MANY + 300))


def test_two_workers_read_one_integration_once(site: Workers, api: FakeGraphql) -> None:
    api.readings = make_readings(MANY)
    for _ in range(2):
        site.start_worker()
    connect(site, api, **READ, **LIVE)
    site.wait_for(MANY)

    assert site.list_stored("id") == list(range(MANY))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_postgres_that_is_restarted_meanwhile_loses_nothing_and_stores_nothing_twice(
    site: Workers, api: FakeGraphql, seed: int
) -> None:
    api.readings, api.behaviour.page = make_readings(MANY), 50
    connect(site, api, **READ, **LIVE)

    site.restart_postgres_while_reading(seed)
    api.add(*make_readings(100, first=MANY))
    site.wait_for(MANY + 100)

    assert site.list_stored("id") == list(range(MANY + 100))


def test_what_may_be_lost_stands_in_the_activity_log_once(site: Workers, api: FakeGraphql) -> None:
    connect(site, api, **LIVE, session_seconds=1)
    site.start_worker()
    for number in range(3):
        wait_until(lambda number=number: api.subscribed > number and api.listeners, "nobody subscribed")  # type: ignore[misc]
    told = site.admin.rows("integration_activity", integration_id=f"eq.{site.id}", select="message")

    assert sum("at most once" in row["message"] for row in told) == 1


def test_an_address_that_may_not_be_reached_is_told_in_the_integration(
    site: Workers, api: FakeGraphql
) -> None:
    connect(site, api, **LIVE, protocol="transport-ws", ws_endpoint="wss://169.254.169.254/graphql")
    run_tick(site.admin.stack)

    assert "169.254.169.254 is at an address that no integration may reach" in site.wait_for_error()
    assert not api.said


def test_a_poll_stores_its_messages_under_their_devices(site: Workers, api: FakeGraphql) -> None:
    api.readings = [make_reading(7, device="oven-7", timestamp="2026-11-29T13:14:15Z")]
    connect(site, api, **READ)
    run_tick(site.admin.stack)

    (row,) = site.admin.rows(
        "device_messages", integration_id=f"eq.{site.id}", select="*,device:devices(external_id)"
    )
    assert row["device"]["external_id"] == "oven-7"
    assert (row["event_id"], row["kind"]) == ("graphql:7", "telemetry")
    assert row["observed_at"] == "2026-11-29T13:14:15+00:00"
    assert row["payload"]["temperature"] == 0.7
