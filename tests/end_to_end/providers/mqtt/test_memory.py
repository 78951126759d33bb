"""What the sessions of many brokers hold uncommitted and half read: bounded by organization over all, and not lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from shared.provider import Batch, Identity, load_provider, require
from shared.providers.mqtt import Mqtt, acknowledgements, packets
from shared.runtime.memory import MemoryBudget
from tests.fakes.brokers import Broker, make_mosquitto, publish_all
from tests.fakes.mqtt_driver import Ledger, count_messages

MEGABYTE = 1_048_576
SESSIONS, MESSAGES = 8, 20

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with make_mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> MemoryBudget:
    made = MemoryBudget(8 * MEGABYTE)
    monkeypatch.setattr(acknowledgements, "load_budget", lambda: made)
    return made


def make_session(broker: Broker, number: int, owner: str) -> tuple[Ledger, Mqtt]:
    settings = {
        "broker_url": "mqtt://127.0.0.1",
        "port": broker.port,
        "topics": f"{owner}/{number}/+/telemetry",
        "client_id": f"{owner}-{number}",
    }
    return Ledger(), require(load_provider(settings, Identity(owner, f"{owner}-{number}", "mqtt")), Mqtt)


def publish_large(broker: Broker, number: int, owner: str) -> None:
    body = '{"text":"' + "A" * 200_000 + '"}'
    publish_all(broker.port, [(f"{owner}/{number}/d/telemetry", body)] * MESSAGES)


def test_sessions_that_nobody_commits_hold_no_more_than_their_share_and_lose_nothing(
    broker: Broker, budget: MemoryBudget
) -> None:
    made = [make_session(broker, number, "hostile") for number in range(SESSIONS)]
    other_ledger, other = make_session(broker, 0, "other")
    for ledger, provider in [*made, (other_ledger, other)]:
        ledger.run(provider)
    for number in range(SESSIONS):
        publish_large(broker, number, "hostile")
    publish_large(broker, 0, "other")
    with ExitStack() as exits:
        sessions = [exits.enter_context(ledger.open_session(provider)) for ledger, provider in made]
        held: list[list[Batch]] = [[] for _ in sessions]
        for _ in range(10):
            for session, batches in zip(sessions, held, strict=True):
                batches.append(next(session))
        while_held = budget.free
        other_ledger.run(other, count=MESSAGES)

        for (ledger, _), batches in zip(made, held, strict=True):
            ledger.commit_all(batches)
        while any(len(ledger.stored) < MESSAGES for ledger, _ in made):
            for (ledger, _), session in zip(made, sessions, strict=True):
                ledger.commit(next(session))

    uncommitted = sum(count_messages(batches) for batches in held)
    assert 0 < uncommitted < SESSIONS * MESSAGES
    assert while_held >= 3 * MEGABYTE
    assert {ledger.duplicates for ledger, _ in made} == {0}
    assert budget.free == 8 * MEGABYTE


def test_large_packets_are_read_a_few_at_a_time_and_all_arrive(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, least = MemoryBudget(3 * packets.LARGEST_HELD), [0]
    monkeypatch.setattr(packets, "load_reading_budget", lambda: reading)
    change = reading.change

    def note_least(owner: str, extra: int) -> None:
        change(owner, extra)
        least.append(reading.free)

    monkeypatch.setattr(reading, "change", note_least)
    made = [make_session(broker, number, "one") for number in range(4)]
    for ledger, provider in made:
        ledger.run(provider)
    for number in range(4):
        publish_large(broker, number, "one")

    threads = [Thread(target=ledger.run, args=(provider, MESSAGES)) for ledger, provider in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(len(ledger.stored), ledger.duplicates) for ledger, _ in made] == [(MESSAGES, 0)] * 4
    assert 0 <= min(least) < reading.free == 3 * packets.LARGEST_HELD
