"""Workers between a real mosquitto and Postgres, whatever ends or hangs meanwhile: nothing lost, nothing twice.

Every test watches the acknowledgements too: none may go out before its message is committed.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from scripts.local.data_folder import DataFolder, database_url
from shared.providers.mqtt.redelivery import BATCH_MESSAGES, UNCOMMITTED_MESSAGES
from tests.fakes.ack_watch import AckWatch
from tests.fakes.brokers import make_mosquitto, publish_all
from tests.fakes.mqtt_site import Site
from tests.fakes.scripted_broker import CONNACK, CONNECT, SUBSCRIBE, run_script
from tests.platform import Platform, run_tick
from tests.seeds import SEEDS
from tests.stack import Stack
from tests.waiting import wait_until

LIMITS = ["max_queued_messages 0", f"max_inflight_messages {UNCOMMITTED_MESSAGES}"]
LARGEST = "select max(n) from (select count(*) as n from device_messages group by received_at) b"


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[Site]:
    with make_mosquitto(tmp_path, LIMITS) as broker:
        made = Site(Platform(stack, stack.user("admin", 0)), broker)
        made.clear()
        with AckWatch(broker.port, made.find_missing) as made.watch:
            yield made
            made.kill_workers()
        assert made.watch.early == []


@pytest.mark.parametrize("start", [Site.start_worker, Site.start_scheduler])
@pytest.mark.parametrize("seed", SEEDS)
def test_workers_and_schedulers_killed_while_they_drain_store_everything_once(
    site: Site, start: Callable[[Site], object], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    site.connect()
    site.kill_workers()
    site.publish(range(16_000))

    stored = [0]
    for _ in range(3):
        start(site)
        site.wait_for(min(stored[-1] + 1, 12_000))
        time.sleep(chance.uniform(0, 0.05))
        site.kill_workers()
        stored.append(len(site.stored))
    start(site)
    site.wait_for(16_000)

    assert site.stored == list(range(16_000))
    assert 0 < stored[1] < 16_000
    assert site.ask(LARGEST) == BATCH_MESSAGES
    assert sum(connection.acknowledged for connection in site.connections) > 12_000


def test_the_watch_of_these_tests_sees_an_early_acknowledgement(site: Site) -> None:
    def provoke() -> set[int]:
        site.publish([7])
        return set(watch.early)

    with AckWatch(site.broker.port, lambda numbers: numbers) as watch:
        hasty = paho.Client(CallbackAPIVersion.VERSION2, "hasty")
        hasty.connect("127.0.0.1", watch.port)
        hasty.loop_start()
        wait_until(hasty.is_connected, "no connection")
        hasty.subscribe("site/+/telemetry", 1)
        wait_until(provoke, "nothing was acknowledged early")
        hasty.disconnect()
        hasty.loop_stop()

    assert set(watch.early) == {7}


def test_a_worker_paused_past_its_lease_stores_and_acknowledges_nothing_more(site: Site) -> None:
    assert site.watch is not None
    # Nor does the broker's end of the connection stop it: only the lease does.
    site.watch.holds = True
    site.connect()
    (paused,), (old,) = site.workers, site.connections
    site.publish(range(100))
    wait_until(lambda: old.acknowledged == 100, "the first messages were not acknowledged")

    paused.send_signal(signal.SIGSTOP)
    site.publish(range(100, 500))
    wait_until(lambda: old.delivered == 500, "the paused worker was not sent the messages")
    site.expire_leases()
    site.start_worker()
    site.wait_for(500)
    paused.send_signal(signal.SIGCONT)
    wait_until(lambda: old.ended_at is not None, "the late worker did not let go")
    site.publish(range(500, 600))
    site.wait_for(600)

    assert site.stored == list(range(600))
    assert old.acknowledged == 100


def test_a_handover_between_ticks_delays_live_messages_by_no_more_than_a_reconnect(site: Site) -> None:
    site.add_integration(session_seconds=1)
    ticks = [threading.Timer(turn, run_tick, (site.admin.stack, 2.5, 60)) for turn in range(3)]
    for tick in ticks:
        tick.start()
    wait_until(lambda: bool(site.subscribed), "no session has subscribed")

    published: list[float] = []
    while len(site.connections) < 3:
        published.append(time.time())
        site.publish([len(published) - 1])
        time.sleep(0.02)
    site.wait_for(len(published))
    for tick in ticks:
        tick.join()

    stored = site.list_arrivals()
    ends = [(one.ended_at or 0, after.opened_at) for one, after in itertools.pairwise(site.connections)]
    waits = [arrived - published[number] for number, arrived in stored]
    assert [number for number, _ in stored] == list(range(len(published)))
    assert len(published) > 10
    assert max(waits) <= max(opened - ended for ended, opened in ends) + 1


def test_a_broker_restarted_under_the_worker_loses_and_doubles_nothing(site: Site) -> None:
    site.connect()
    site.publish(range(500))

    site.restart_broker()
    site.publish(range(500, 1_000))
    site.wait_for(1_000)

    assert site.stored == list(range(1_000))


def test_a_crash_of_postgres_in_mid_session_loses_and_doubles_nothing(site: Site) -> None:
    site.connect()
    publisher = threading.Thread(target=site.publish, args=(range(5_000),))
    publisher.start()
    site.wait_for(200)

    crash_postgres(site)
    publisher.join()
    wait_until(lambda: answers(site), "Postgres did not recover")
    site.wait_for(5_000)

    assert site.stored == list(range(5_000))


def test_postgres_stopped_and_started_while_a_worker_dies_loses_and_doubles_nothing(site: Site) -> None:
    site.connect()
    publisher = threading.Thread(target=publish_steadily, args=(site, 6_000))
    publisher.start()
    site.wait_for(1_000)

    started = site.stop_postgres()
    site.workers[0].kill()
    wait_until(lambda: site.postgres_pid not in {0, started}, "Postgres did not come back")
    wait_until(lambda: answers(site), "Postgres does not answer")
    site.kill_workers()
    site.start_worker()
    publisher.join()
    site.wait_for(6_000)

    assert site.stored == list(range(6_000))


def test_postgres_stopped_and_started_under_a_worker_that_lives_loses_and_doubles_nothing(site: Site) -> None:
    site.connect()
    publisher = threading.Thread(target=publish_steadily, args=(site, 6_000))
    publisher.start()
    site.wait_for(1_000)

    site.stop_postgres()
    publisher.join()
    wait_until(lambda: answers(site), "Postgres does not answer")
    site.wait_for(6_000)

    assert site.stored == list(range(6_000))


def publish_steadily(site: Site, count: int) -> None:
    """A hundred at a time, for more than a second."""
    for first in range(0, count, 100):
        site.publish(range(first, first + 100))
        time.sleep(0.02)


def crash_postgres(site: Site) -> None:
    """SIGKILL of one backend: Postgres ends all others, which this waits for, and goes through recovery."""
    with site.admin.stack.connect() as connection:
        row = connection.execute(
            "select pid from pg_stat_activity where usename = 'authenticator'"
        ).fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGKILL)
        wait_until(lambda: is_cut(connection), "Postgres has not noticed")


def is_cut(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def answers(site: Site) -> bool:
    try:
        return bool(site.ask("select 1"))
    except psycopg.OperationalError:
        return False


def test_a_database_that_hangs_for_a_while_loses_and_doubles_nothing(site: Site) -> None:
    site.connect()

    with site.admin.stack.connect() as connection:
        connection.execute("lock table device_messages in share mode")
        site.publish(range(3_000))
        time.sleep(3)
    site.wait_for(3_000)

    assert site.stored == list(range(3_000))


@contextmanager
def be_read_only(site: Site) -> Iterator[None]:
    """No transaction may write, as with a full disk or during a failover: SQLSTATE 25006."""
    folder = DataFolder(site.admin.stack.functions_env.parent)
    url = database_url(folder.load_credentials(), folder.load_ports().postgres, "supabase_admin")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter system set default_transaction_read_only = on")
        try:
            connection.execute("select pg_reload_conf()")
            yield
        finally:
            connection.execute("alter system reset default_transaction_read_only")
            connection.execute("select pg_reload_conf()")


@pytest.mark.parametrize("session_seconds", [600, 1, 5])
def test_after_a_database_that_was_read_only_every_session_goes_on_and_nothing_is_lost(
    site: Site, session_seconds: int
) -> None:
    site.connect(session_seconds=session_seconds)
    address = {"broker_url": "mqtt://127.0.0.1", "port": site.broker.port, "session_seconds": session_seconds}
    others = [
        str(site.admin.create("mqtt", address | {"topics": f"other/{number}/+/telemetry"})["id"])
        for number in range(6)
    ]
    subscribed = "select bool_and(s.state ? 'subscribed') from integration_schedules s"
    wait_until(lambda: bool(site.ask(subscribed)), "not all sessions have subscribed")

    def publish(number: int) -> None:
        site.publish([number])
        body = json.dumps({"n": number})
        publish_all(site.broker.port, [(f"other/{each}/d/telemetry", body) for each in range(len(others))])

    def count(integration_id: str) -> int:
        return int(site.ask("select count(*) from device_messages where integration_id = %s", integration_id))

    with be_read_only(site):
        for number in range(16):
            publish(number)
            time.sleep(0.5)
    longest = site.ask(
        "select max(extract(epoch from due_at - now())) from integration_schedules"
        " where lease_token is null and isfinite(due_at)"
    )
    publish(16)
    wait_until(lambda: min(map(count, others)) >= 17, "not every session goes on")
    site.wait_for(17)

    assert float(longest or 0) < 15
    assert site.stored == list(range(17))
    assert list(map(count, others)) == [17] * len(others)


def test_two_workers_on_one_integration_store_everything_once(site: Site) -> None:
    site.connect()
    site.start_worker()

    site.publish(range(2_000))
    site.wait_for(2_000)

    assert site.stored == list(range(2_000))


def test_ten_thousand_devices_are_created_once_each(site: Site) -> None:
    site.connect()

    site.publish(range(20_000), devices=10_000)
    site.wait_for(20_000)

    count = site.ask("select count(*) from devices where integration_id = %s", site.integration["id"])
    shown = site.ask("select device_count from device_integrations")
    assert (count, shown, site.stored) == (10_000, 10_000, list(range(20_000)))


@pytest.mark.parametrize("protocol_version", ["5", "3.1.1"])
def test_topics_added_in_mid_session_take_effect_and_nothing_is_lost(
    site: Site, protocol_version: str
) -> None:
    site.connect(protocol_version=protocol_version)
    publisher = threading.Thread(target=site.publish, args=(range(3_000),))
    publisher.start()
    site.wait_for(100)

    topics = ["site/+/telemetry", "yard/+/telemetry"]
    site.admin.call("PATCH", f"/integrations/{site.integration['id']}", json={"config": {"topics": topics}})
    wait_until(lambda: site.subscribed == topics, "the new topic was not subscribed to")
    publish_all(site.broker.port, [("yard/y/telemetry", '{"temperature": 3000}')])
    publisher.join()
    site.wait_for(3_001)

    assert site.stored == list(range(3_001))


def test_retained_messages_are_stored_once_whatever_happens_to_the_worker(site: Site) -> None:
    site.publish(range(100), retain=True, devices=100)
    site.connect()
    site.wait_for(100)

    site.kill_workers()
    site.start_worker()
    site.publish(range(100, 200), devices=100)
    site.wait_for(200)

    assert site.stored == list(range(200))


def test_a_refused_topic_is_named_while_the_others_go_on(stack: Stack) -> None:
    one_of_two = b"\x90\x05\x00\x01\x00\x01\x87"
    with run_script({CONNECT: CONNACK, SUBSCRIBE: one_of_two}) as broker:
        site = Site(Platform(stack, stack.user("admin", 0)), broker)
        site.clear()
        site.connect(topics="site/#, secret/#")
        message = "select error_message from device_integrations"
        wait_until(lambda: bool(site.ask(message)), "nothing was said of the refused topic")
        site.kill_workers()

    assert "'secret/#'" in site.ask(message)
    assert site.ask("select status from device_integrations") == "active"
    assert site.subscribed == ["site/#"]


def test_an_id_of_the_publisher_that_is_too_long_for_an_index_stops_nothing(site: Site) -> None:
    chance = random.Random(4)  # noqa: S311 - text that does not compress
    device, own = ("".join(chr(chance.randint(0x4E00, 0x9FFF)) for _ in range(500)) for _ in range(2))
    site.connect(event_id_path="own")

    bodies = [{"device": device, "own": own, "temperature": 0}, {"own": "1", "temperature": 1}]
    publish_all(site.broker.port, [("site/a/telemetry", json.dumps(body)) for body in bodies])
    site.wait_for(2)

    assert site.stored == [0, 1]


def test_the_last_session_says_what_it_did(site: Site) -> None:
    site.connect()
    publish_all(
        site.broker.port, [("site/a/telemetry", '{"temperature": 1}'), ("site/a/telemetry", "no JSON")]
    )
    site.wait_for(2)

    worker = site.workers.pop()
    worker.terminate()
    worker.wait(20)

    (row,) = site.admin.rows("device_integrations", select="last_session", id=f"eq.{site.integration['id']}")
    did = row["last_session"]
    assert (did["messages"], did["rejected"], did["duplicates"], did["bytes"]) == (2, 1, 0, 25)
    assert (did["warnings"], did["batches"] in {1, 2}) == (0, True)
    assert did["connect_ms"] > 0
