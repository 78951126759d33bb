"""A polling session against real brokers: nothing lost, nothing stored twice, gaps told."""

from __future__ import annotations

import json
import random
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from shared.provider import MESSAGE_LIMIT, Batch, Poller
from shared.providers.mqtt.redelivery import BATCH_MESSAGES, UNCOMMITTED_MESSAGES, WINDOW_MESSAGES
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ConnectionRefused
from tests.fakes.brokers import Broker, make_amqtt, make_mosquitto, publish_all
from tests.fakes.mqtt_driver import SECONDS, Ledger, count_messages, make_provider, take_batches
from tests.fakes.scripted_broker import (
    CONNACK,
    CONNACK_WITH_SESSION,
    CONNECT,
    PINGREQ,
    PINGRESP,
    SUBACK_QOS_1,
    SUBSCRIBE,
    run_script,
)
from tests.seeds import SEEDS

PROTOCOLS = ("5", "3.1.1")
TOPIC = "devices/d1/telemetry"

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with make_mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def ledger(broker: Broker) -> Ledger:
    """A ledger whose integration has subscribed already, so that the broker keeps messages for it."""
    subscribed = Ledger()
    subscribed.run(make_provider(broker.port))
    return subscribed


def make_readings(count: int, first: int = 0) -> list[tuple[str, str]]:
    return [
        (f"devices/d{n % 5}/telemetry", json.dumps({"temperature": n})) for n in range(first, first + count)
    ]


def test_what_is_published_between_sessions_is_stored_in_the_next_once(
    broker: Broker, ledger: Ledger
) -> None:
    publish_all(broker.port, make_readings(300))

    ledger.run(make_provider(broker.port), count=300)
    ledger.run(make_provider(broker.port))

    assert sorted(message.payload["temperature"] for message in ledger.stored.values()) == list(range(300))
    assert ledger.duplicates == 0
    assert ledger.notes == []


def test_nothing_is_acknowledged_before_its_commit(broker: Broker, ledger: Ledger) -> None:
    publish_all(broker.port, make_readings(60))
    with ledger.open_session(make_provider(broker.port)) as session:
        uncommitted = take_batches(session, lambda batches: count_messages(batches) >= 20)
        # Time enough to acknowledge, if it did that.
        uncommitted += [next(session), next(session)]

    ledger.run(make_provider(broker.port), count=60)

    assert count_messages(uncommitted) >= 20
    assert (len(ledger.stored), ledger.duplicates) == (60, 0)


def test_a_session_killed_between_commit_and_acknowledgement_stores_nothing_twice(
    broker: Broker, ledger: Ledger
) -> None:
    publish_all(broker.port, make_readings(40))
    with ledger.open_session(make_provider(broker.port)) as session:
        for batch in take_batches(session, lambda batches: count_messages(batches) >= 20):
            ledger.commit(batch)
    committed = len(ledger.stored)

    ledger.run(make_provider(broker.port), count=40)

    assert (len(ledger.stored), ledger.duplicates) == (40, committed)


@pytest.mark.parametrize("in_flight", [300, UNCOMMITTED_MESSAGES])
@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_killed_at_random_moments_store_each_message_once(
    tmp_path: Path, seed: int, in_flight: int
) -> None:
    chance, protocol_version = random.Random(seed), PROTOCOLS[seed % 2]  # noqa: S311 - a failure is repeatable
    readings = [(TOPIC, json.dumps({"temperature": chance.randint(1, 5)})) for _ in range(10_000)]
    limits = [f"max_inflight_messages {in_flight}", "max_queued_messages 0"]
    with make_mosquitto(tmp_path, limits) as broker:
        provider = make_provider(broker.port, protocol_version=protocol_version)
        ledger = Ledger()
        ledger.run(provider)
        publish_all(broker.port, readings)

        kills = 0
        while len(ledger.stored) < len(readings) and kills < 500:
            kill_session(ledger, provider, chance)
            kills += 1
        ledger.hear_out(provider)

    stored = sorted(message.payload["temperature"] for message in ledger.stored.values())
    assert stored == sorted(json.loads(body)["temperature"] for _, body in readings)
    assert kills > 1
    assert in_flight < UNCOMMITTED_MESSAGES or ledger.largest == BATCH_MESSAGES


def kill_session(ledger: Ledger, provider: Poller, chance: random.Random) -> None:
    """A session whose commits lag behind at random, ended with no goodbye after a random number of batches."""
    waiting: list[Batch] = []
    with ledger.open_session(provider) as session:
        for _ in range(chance.randint(1, 4)):
            waiting.append(next(session))
            ledger.commit_all(waiting[: chance.randint(0, len(waiting))])
            waiting = [batch for batch in waiting if not batch.committed]


def test_two_equal_readings_sent_on_purpose_are_both_kept(broker: Broker, ledger: Ledger) -> None:
    publish_all(broker.port, [(TOPIC, '{"temperature": 21}')] * 2)

    ledger.run(make_provider(broker.port), count=2)

    assert (len(ledger.stored), ledger.duplicates) == (2, 0)


def test_equal_readings_are_kept_and_their_redelivery_is_not(broker: Broker, ledger: Ledger) -> None:
    publish_all(broker.port, [(TOPIC, '{"temperature": 21}')] * 5)
    with ledger.open_session(make_provider(broker.port)) as session:
        for batch in take_batches(session, lambda batches: count_messages(batches) >= 5):
            ledger.commit(batch)
    publish_all(broker.port, [(TOPIC, '{"temperature": 21}')] * 3)

    ledger.run(make_provider(broker.port), count=8)

    assert (len(ledger.stored), ledger.duplicates) == (8, 5)


def test_a_retained_message_is_stored_once_however_often_it_is_subscribed_to(broker: Broker) -> None:
    publish_all(broker.port, [(TOPIC, '{"temperature": 1}')], retain=True)
    ledger = Ledger()

    ledger.run(make_provider(broker.port), count=1)
    ledger.hear_out(make_provider(broker.port, topics="devices/#"))
    ledger.hear_out(make_provider(broker.port, topics="devices/d1/+"))

    assert (len(ledger.stored), ledger.received) == (1, 3)


def test_a_retained_message_that_came_live_is_not_stored_again_as_a_copy(
    broker: Broker, ledger: Ledger
) -> None:
    publish_all(broker.port, [(TOPIC, '{"temperature": 1}')], retain=True)

    ledger.run(make_provider(broker.port), count=1)
    ledger.hear_out(make_provider(broker.port, topics="devices/#"))

    assert (len(ledger.stored), ledger.duplicates) == (1, 1)


def test_a_removed_topic_is_unsubscribed_and_an_added_one_subscribed(broker: Broker, ledger: Ledger) -> None:
    changed = make_provider(broker.port, topics=["devices/+/status"])

    ledger.run(changed)
    publish_all(broker.port, [(TOPIC, '{"temperature": 1}'), ("devices/d1/status", '{"status": "online"}')])
    ledger.run(changed, count=1)

    assert [message.topic for message in ledger.stored.values()] == ["devices/d1/status"]
    assert ledger.state["subscribed"] == {"devices/+/status": 1}


def test_a_broker_restarted_in_mid_session_loses_nothing(broker: Broker, ledger: Ledger) -> None:
    def disturb() -> None:
        publish_all(broker.port, make_readings(50))
        broker.stop()
        broker.start()
        publish_all(broker.port, make_readings(50, first=50))

    disturber = threading.Thread(target=disturb)
    disturber.start()

    ledger.run(make_provider(broker.port), count=100)
    disturber.join()

    assert {message.payload["temperature"] for message in ledger.stored.values()} == set(range(100))
    assert len(ledger.stored) == 100


def test_a_session_the_broker_has_forgotten_is_told_as_a_gap(tmp_path: Path) -> None:
    with make_mosquitto(tmp_path, ["autosave_interval 0"]) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        broker.stop()
        (tmp_path / "mosquitto.db").unlink(missing_ok=True)
        broker.start()

        ledger.run(make_provider(broker.port))

    assert [note.level for note in ledger.notes] == ["warning"]
    assert "may be lost" in ledger.notes[0].message


def test_an_exactly_full_queue_is_told(tmp_path: Path) -> None:
    with make_mosquitto(tmp_path, ["max_queued_messages 100"]) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        publish_all(broker.port, make_readings(150))

        ledger.hear_out(make_provider(broker.port))

    assert len(ledger.stored) == 100
    assert "queue may have overflowed" in " ".join(note.message for note in ledger.notes)


def test_bad_bodies_are_kept_with_their_reason_and_harm_no_other(broker: Broker, ledger: Ledger) -> None:
    bodies: list[bytes] = [
        b'{"temperature": 1}',
        b"\xff\xfe",
        b'{"temperature":',
        b"",
        b'{"a": "\\u0000"}',
        b"[" * 5_000 + b"]" * 5_000,
        b'{"text": "' + b"x" * (MESSAGE_LIMIT - 12) + b'"}',
        b"y" * (MESSAGE_LIMIT + 1),
        b"z" * (3 * MESSAGE_LIMIT),
        b'{"temperature": 2}',
    ]
    publish_all(broker.port, [(TOPIC, body) for body in bodies])

    ledger.run(make_provider(broker.port), count=len(bodies))

    messages = list(ledger.stored.values())
    assert [bool(message.error) for message in messages] == [
        False,
        True,
        True,
        True,
        False,
        True,
        False,
        True,
        True,
        False,
    ]
    assert (messages[4].payload, messages[4].raw) == ({"a": "\ufffd"}, '{"a": "\\u0000"}')
    assert messages[4].remark
    assert all(len(message.raw or "") <= MESSAGE_LIMIT for message in messages)
    assert ledger.duplicates == 0


@pytest.mark.parametrize("protocol_version", ["5", "3.1.1"])
def test_a_filter_within_another_brings_no_second_copy(
    broker: Broker, ledger: Ledger, protocol_version: str
) -> None:
    topics = ["devices/+/telemetry", "devices/#", "devices/d1/+"]
    provider = make_provider(broker.port, topics=topics, protocol_version=protocol_version)
    ledger.run(provider)

    publish_all(broker.port, [(TOPIC, '{"temperature": 1}')] * 3)
    ledger.hear_out(provider)

    assert (len(ledger.stored), ledger.received, ledger.state["subscribed"]) == (3, 3, {"devices/#": 1})


@pytest.mark.parametrize("protocol_version", PROTOCOLS)
def test_copies_by_filters_that_overlap_in_part_are_told_and_come_again_under_their_own_ids(
    broker: Broker, ledger: Ledger, protocol_version: str
) -> None:
    topics = ["devices/+/telemetry", "+/d1/telemetry"]
    provider = make_provider(broker.port, topics=topics, protocol_version=protocol_version)
    ledger.run(provider)
    publish_all(broker.port, [(TOPIC, '{"temperature": 1}')] * 3)
    ledger.run_unheard(provider, seconds=1)
    copies = len(ledger.stored)

    ledger.hear_out(provider)

    assert (copies, len(ledger.stored)) in {(3, 3), (6, 6)}
    assert ledger.duplicates == copies
    assert "overlap" in " ".join(note.message for note in ledger.notes)


def test_a_filter_that_is_added_around_another_takes_over_from_it(broker: Broker, ledger: Ledger) -> None:
    ledger.run(make_provider(broker.port, topics=["devices/+/telemetry"]))
    provider = make_provider(broker.port, topics=["devices/+/telemetry", "devices/#"])
    ledger.run(provider)

    publish_all(broker.port, [(TOPIC, '{"temperature": 1}')])
    ledger.hear_out(provider)

    assert (ledger.received, ledger.state["subscribed"]) == (1, {"devices/#": 1})


def publish_one_by_one(port: int, readings: list[tuple[str, str]]) -> None:
    """amqtt loses some of what comes in one piece."""
    for reading in readings:
        publish_all(port, [reading])


def test_amqtt_speaks_mqtt_3_1_1_only_and_is_remembered_for_it() -> None:
    with make_amqtt() as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        publisher = threading.Timer(0.5, publish_one_by_one, (broker.port, make_readings(5)))
        publisher.start()

        begun = time.monotonic()
        ledger.run(make_provider(broker.port), count=5)
        took = time.monotonic() - begun
        publisher.join()

    assert ledger.state["protocol"] == 4
    assert took < 4
    assert len(ledger.stored) == 5


def test_commits_on_another_thread_overlap_with_receiving_and_all_are_acknowledged(tmp_path: Path) -> None:
    with make_mosquitto(tmp_path, ["max_queued_messages 0"]) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        publish_all(broker.port, make_readings(3_000))

        ledger.run_slowly(make_provider(broker.port), 3_000, seconds_per_batch=0.02)
        ledger.run(make_provider(broker.port))

    assert (len(ledger.stored), ledger.duplicates) == (3_000, 0)


def test_reading_stops_while_too_much_is_uncommitted(tmp_path: Path) -> None:
    limits = ["max_inflight_messages 0", "max_queued_messages 0"]
    with make_mosquitto(tmp_path, limits) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port, protocol_version="3.1.1"))
        publish_all(broker.port, make_readings(100))

        with ledger.open_session(make_provider(broker.port), Deadline(10)) as session:
            batches = take_batches(session, lambda taken: count_messages(taken) >= 100)
            publish_all(broker.port, make_readings(3_900, first=100))
            while count_messages(batches) < UNCOMMITTED_MESSAGES:
                batches.append(next(session))
            rest = [next(session), next(session)]
        ledger.run(make_provider(broker.port), count=4_000)

    assert (count_messages(batches), count_messages(rest)) == (UNCOMMITTED_MESSAGES, 0)
    assert (len(ledger.stored), ledger.duplicates) == (4_000, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_killed_under_a_broker_without_limits_store_each_message_once(
    tmp_path: Path, seed: int
) -> None:
    chance, protocol_version = random.Random(seed), PROTOCOLS[seed % 2]  # noqa: S311 - a failure is repeatable
    with make_mosquitto(tmp_path, ["max_inflight_messages 0", "max_queued_messages 0"]) as broker:
        provider = make_provider(broker.port, protocol_version=protocol_version)
        ledger = Ledger()
        ledger.run(provider)
        publish_all(broker.port, make_readings(15_000))

        unsettled: list[int] = []
        while len(ledger.stored) < 15_000 and len(unsettled) < 50:
            ledger.run_until(provider, chance.randint(1, 6_000))
            unsettled.append(ledger.state["unsettled"])
        ledger.hear_out(provider)

    stored = sorted(message.payload["temperature"] for message in ledger.stored.values())
    assert stored == list(range(15_000))
    assert ledger.duplicates > 0
    assert max(unsettled) > WINDOW_MESSAGES
    assert ledger.largest == BATCH_MESSAGES


def test_a_broker_that_hears_no_acknowledgement_while_it_sends_is_believed_once() -> None:
    stored = 3 * WINDOW_MESSAGES
    answers = {CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_1 + write_publishes(range(1, stored + 1))}
    with run_script(answers) as broker:
        provider, ledger = make_provider(broker.port), Ledger()
        ledger.run_until(provider, stored)

        again = write_publishes(range(1, stored + 101), again=True)
        answers |= {CONNECT: CONNACK_WITH_SESSION + again, PINGREQ: PINGRESP}
        ledger.run(provider, stored + 100)

    assert (len(ledger.stored), ledger.duplicates) == (stored + 100, stored)


def write_publishes(numbers: range, *, again: bool = False) -> bytes:
    """What a broker sends: readings with QoS 1, each under its number as packet id."""
    return b"".join(
        bytes([0x3A if again else 0x32, 36])
        + struct.pack("!H20sHB", 20, TOPIC.encode(), number, 0)
        + b"%11d" % number
        for number in numbers
    )


def test_a_new_connection_is_begun_before_packet_ids_are_ambiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.mqtt.session.UNSETTLED_MESSAGES", 4_000)
    with make_mosquitto(tmp_path, ["max_inflight_messages 0", "max_queued_messages 0"]) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        publish_all(broker.port, make_readings(15_000))

        ledger.run(make_provider(broker.port), 15_000)

    assert (len(ledger.stored), ledger.duplicates, ledger.notes) == (15_000, 0, [])
    assert ledger.connections > 2


def test_what_is_committed_when_the_session_ends_counts_as_no_backlog() -> None:
    stored = UNCOMMITTED_MESSAGES
    answers = {CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_1 + write_publishes(range(1, stored + 1))}
    with run_script(answers) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port), stored)

    assert (len(ledger.stored), ledger.notes) == (stored, [])


def test_the_end_waits_for_commits_under_way(broker: Broker, ledger: Ledger) -> None:
    publish_all(broker.port, make_readings(10))
    deadline = Deadline(15)

    with ledger.open_session(make_provider(broker.port), deadline) as session:
        batches = take_batches(session, lambda taken: count_messages(taken) >= 10)
        deadline.shorten(0)
        committer = threading.Timer(0.3, ledger.commit_all, (batches,))
        committer.start()
        rest = list(session)
        committer.join()
    ledger.run(make_provider(broker.port))

    assert count_messages(rest) == 0
    assert (len(ledger.stored), ledger.duplicates) == (10, 0)


def test_what_is_committed_only_after_the_end_comes_again_under_its_own_id(
    broker: Broker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.mqtt.session.FINISH_SECONDS", 0.2)
    publish_all(broker.port, make_readings(10))

    deadline = Deadline(SECONDS)
    with ledger.open_session(make_provider(broker.port), deadline) as uncommitted:
        batches = take_batches(uncommitted, lambda taken: count_messages(taken) >= 10)
        deadline.shorten(0)
        batches += uncommitted
    ledger.commit_all(batches)
    ledger.hear_out(make_provider(broker.port))

    assert count_messages(batches) == 10
    assert (len(ledger.stored), ledger.duplicates) == (10, 10)


def test_an_idle_session_gives_a_sign_of_life_twice_a_second(broker: Broker, ledger: Ledger) -> None:
    def idle() -> list[Batch]:
        with ledger.open_session(make_provider(broker.port), Deadline(2)) as session:
            return list(session)

    # Again where the machine had no time for it.
    batches = next(taken for taken in (idle() for _ in range(5)) if len(taken) >= 4)

    assert len(batches) <= 8
    assert all(not batch.messages and batch.state is None for batch in batches)


def test_a_live_message_is_given_at_once(broker: Broker, ledger: Ledger) -> None:
    def receive(count: int) -> float:
        publisher = threading.Timer(0.3, publish_all, (broker.port, make_readings(1)))
        publisher.start()
        begun = time.monotonic()
        ledger.run(make_provider(broker.port), count)
        publisher.join()
        return time.monotonic() - begun

    # Again where the machine had no time for it.
    assert any(receive(count) < 1.3 for count in range(1, 6))


def test_a_broker_that_is_down_is_told_after_several_tries(broker: Broker) -> None:
    broker.stop()

    with (
        pytest.raises(ConnectionRefused),
        Ledger().open_session(make_provider(broker.port), Deadline(2)) as session,
    ):
        list(session)


def test_a_vmark_hub_gets_its_answer_after_the_commit_and_the_answer_is_not_stored(broker: Broker) -> None:
    ledger = Ledger()
    provider = make_provider(broker.port, topics="$hub/#", payload_format="vmark")
    ledger.run(provider)
    answers: list[bytes] = []
    hub = paho.Client(CallbackAPIVersion.VERSION2, "hub")
    hub.on_message = lambda _client, _data, message: answers.append(bytes(message.payload))
    hub.connect("127.0.0.1", broker.port)
    hub.loop_start()
    hub.subscribe("$hub/up_reply", 1)
    report = {
        "device": "h1",
        "handle": "properties_report",
        "paras": {"temperature": 3},
        "time": "2025-01-02_03:04:05.678",
    }
    hub.publish("$hub/up", json.dumps(report), 1).wait_for_publish(5)

    with ledger.open_session(provider) as session:
        batches = take_batches(session, lambda taken: count_messages(taken) >= 1)
        answered_early = list(answers)
        ledger.commit(batches[-1])
        take_batches(session, lambda taken: len(taken) >= 2)
    hub.disconnect()
    hub.loop_stop()
    ledger.run(provider)

    assert (answered_early, answers) == ([], [b'{"result":0}'])
    (message,) = ledger.stored.values()
    assert (message.device, message.payload) == ("h1", {"temperature": 3})
    assert message.observed_at == "2025-01-02T03:04:05.678000+00:00"
