"""Several sessions of one integration, which workers share: each record once, whoever is killed, leaves or joins."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from shared.provider import Part
from shared.runtime.deadline import Deadline
from tests.end_to_end.providers.kafka.test_worker import MANY, Site, fill
from tests.fakes.kafka.site import PARTITIONS, TOPIC, make_kafka, make_readings, produce
from tests.fakes.mqtt_driver import Ledger
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

HELD = "select count(distinct holder) from integration_schedules where lease_token is not null and due_at > now()"


@pytest.fixture
def site(stack: Stack, servers: str) -> Iterator[Site]:
    made = Site(stack, servers)
    made.ask("with gone as (delete from device_integrations) select 1")
    yield made
    made.kill_workers()


def read_shared(site: Site, sessions: int) -> None:
    site.connect(topics=TOPIC, start="beginning", parallel_sessions=sessions)


def resize(site: Site, sessions: int) -> None:
    body = {"config": {"parallel_sessions": sessions}}
    reply = site.admin.call("PATCH", f"/integrations/{site.id}", json=body)
    assert reply.status_code == 200, reply.text


@pytest.mark.usefixtures("allow_loopback")
def test_each_session_reads_what_falls_to_it_and_nothing_else(servers: str) -> None:
    for partition in PARTITIONS:
        produce(servers, make_readings(range(partition * 100, partition * 100 + 100)), partition=partition)
    kafka, ledger = make_kafka(servers, parallel_sessions=3), Ledger()
    with ledger.open_session(kafka) as first:
        for batch in first:
            ledger.commit(batch)
            is_cut = batch.more

    placed = (len(ledger.stored), is_cut, ledger.state["parts"][TOPIC])
    state = dict(ledger.state)
    for number in range(3):
        ledger.state, deadline = state, Deadline(60)
        part = Part(number, 3)
        there = [each for each in PARTITIONS if part.has(TOPIC, each)]
        wanted = len(ledger.stored) + 100 * len(there)
        for batch in kafka.session_part(part, _select(state, there), deadline):
            ledger.commit(batch)
            if len(ledger.stored) >= wanted:
                deadline.shorten(0)
        assert sorted(ledger.state["parts"].get(TOPIC, {})) == [str(each) for each in there]

    assert placed == (0, True, {"0": 0, "1": 0, "2": 0, "3": 0})
    assert sorted(each.payload["pressure"] for each in ledger.stored.values()) == list(range(400))
    assert ledger.duplicates == 0


def _select(state: dict[str, object], numbers: list[int]) -> dict[str, object]:
    return state | {"parts": {TOPIC: {str(number): 0 for number in numbers}} if numbers else {}}


@pytest.mark.parametrize("seed", SEEDS)
def test_workers_killed_while_they_share_a_topic_store_everything_once(site: Site, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    fill(site.servers, MANY)
    read_shared(site, chance.randint(2, 5))

    for _ in range(4):
        before = site.count()
        for _ in range(2):
            site.start_worker()
        site.wait_for(min(before + 1, MANY))
        time.sleep(chance.uniform(0, 0.3))
        if chance.random() < 0.5:
            resize(site, chance.randint(1, 6))
        site.kill_workers()
    site.start_worker()
    site.wait_for(MANY)

    assert site.stored == list(range(MANY))


def test_two_workers_share_one_topic_and_the_one_that_stays_goes_on_with_all_of_it(site: Site) -> None:
    produce(site.servers, make_readings(range(1)), partition=0)
    read_shared(site, 2)
    for _ in range(2):
        site.start_worker()
    wait_until(lambda: site.ask(HELD) == 2, "they do not share it")

    site.end_worker()
    fill_from(site, 1, 2_000)
    site.wait_for(2_000)

    assert site.stored == list(range(2_000))
    assert site.ask("select status from device_integrations where id = %s", site.id) == "active"


def test_more_sessions_or_fewer_while_they_read_lose_and_repeat_nothing(site: Site) -> None:
    fill(site.servers, MANY)
    read_shared(site, 2)
    site.start_worker()
    for sessions in (4, 1, 3):
        before = site.count()
        site.wait_for(min(before + 1, MANY))
        resize(site, sessions)
    site.wait_for(MANY)

    assert site.stored == list(range(MANY))
    assert site.ask("select array_agg(slots order by slot) from integration_schedules") == [3, 3, 3]


def fill_from(site: Site, begin: int, end: int) -> None:
    for partition in PARTITIONS:
        produce(
            site.servers, make_readings(range(begin + partition, end, len(PARTITIONS))), partition=partition
        )
