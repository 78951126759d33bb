"""Brokers that answer what none should: a session ends with its reason, and costs no more than a good one's."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest

from shared.providers.kafka.cluster import Cluster
from shared.providers.kafka.placing import MOST_GONE
from shared.runtime.errors import ProtocolFailed
from tests.fakes.kafka.front import Front
from tests.fakes.kafka.site import PARTITIONS, TOPIC, make_kafka, make_readings, produce
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
FETCH, LIST_OFFSETS, METADATA = 1, 2, 3


def answer_metadata(brokers: bytes, cluster: str, topics: bytes) -> Any:
    """Of any version up to 5, with `brokers` and `topics` as they are written."""

    def answer(frame: bytes) -> bytes:
        (version,) = struct.unpack_from(">h", frame, 2)
        name = struct.pack(">h", len(cluster)) + cluster.encode() + struct.pack(">i", 1)
        return (bytes(4) if version >= 3 else b"") + brokers + name + topics

    return answer


def write_broker(host: str, port: int) -> bytes:
    """An array of one."""
    return struct.pack(">iih", 1, 1, len(host)) + host.encode() + struct.pack(">ih", port, -1)


@pytest.fixture
def readings(servers: str) -> str:
    produce(servers, make_readings(range(3)), partition=0)
    return servers


ARRAY_OF_NONE = struct.pack(">i", -1)
GOOD = write_broker("127.0.0.1", 9)


@pytest.mark.parametrize(
    ("brokers", "cluster", "topics"),
    [
        (GOOD, "a\0cluster", bytes(4)),
        (GOOD, "c" * 5_000, bytes(4)),
        (write_broker("a\0host", 9), "c", bytes(4)),
        (write_broker("h" * 30_000, 9), "c", bytes(4)),
        (write_broker("127.0.0.1", 70_000), "c", bytes(4)),
        (write_broker("", 9), "c", bytes(4)),
        (GOOD, "c", ARRAY_OF_NONE),
        (ARRAY_OF_NONE, "c", bytes(4)),
        (GOOD, "c", struct.pack(">i", 2_000_000_000)),
    ],
)
def test_a_listing_that_is_none_ends_the_session_with_its_reason(
    readings: str, brokers: bytes, cluster: str, topics: bytes
) -> None:
    stand_in = {METADATA: answer_metadata(brokers, cluster, topics)}
    with Front(readings, stand_in=stand_in) as front, pytest.raises(ProtocolFailed) as failure:
        Ledger().run(make_kafka(f"127.0.0.1:{front.port}"), 1)

    assert failure.value.detail.isprintable()
    assert len(failure.value.detail) < 500


@pytest.mark.parametrize("key", [FETCH, LIST_OFFSETS])
def test_an_answer_without_topics_ends_the_session_with_its_reason(readings: str, key: int) -> None:
    def spoil(asked: int, answer: bytes) -> bytes:
        return ARRAY_OF_NONE * 16 if asked == key else answer

    with Front(readings, change=spoil) as front, pytest.raises(ProtocolFailed):
        Ledger().run(make_kafka(f"127.0.0.1:{front.port}"), 1)


def test_a_listing_that_is_none_while_the_session_lasts_is_an_error_of_the_cluster(readings: str) -> None:
    """The second is asked for over a connection that is there already."""
    listings = [0]

    def spoil(asked: int, answer: bytes) -> bytes:
        listings[0] += asked == METADATA
        return answer[:4] + ARRAY_OF_NONE * 8 if asked == METADATA and listings[0] > 1 else answer

    with Front(readings, change=spoil) as front:
        kafka = make_kafka(f"127.0.0.1:{front.port}")
        with Cluster(kafka.cluster_plan) as cluster:
            cluster.run(cluster.list_partitions([TOPIC]))
            request = MetadataRequest([TOPIC], allow_auto_topic_creation=False)
            cluster.run(cluster.ask(next(iter(cluster.brokers)), request, str))
            with pytest.raises(ProtocolFailed):
                cluster.run(cluster.list_partitions([TOPIC]))


def test_a_broker_that_has_nothing_and_says_so_at_once_is_not_asked_without_a_pause(readings: str) -> None:
    asked: list[bytes] = []

    def answer(frame: bytes) -> bytes:
        """No time to wait, from version 7 on nothing wrong and no session, and no topics."""
        asked.append(frame)
        return bytes(8 + 6 * (int.from_bytes(frame[2:4]) >= 7))

    with Front(readings, stand_in={FETCH: answer}) as front:
        Ledger().watch(make_kafka(f"127.0.0.1:{front.port}"), 3)

    assert len(asked) < 60


def test_of_topics_that_come_and_go_no_more_than_some_are_remembered(readings: str) -> None:
    offsets = {f"plant.{number}": {"0": 7} for number in range(MOST_GONE + 50)}
    ledger = Ledger()
    ledger.state = {"topics": ["plant.*"], "parts": offsets | {TOPIC: {"0": 2}}}

    ledger.run(make_kafka(readings, topics=["plant.*"]), 1)

    places = [place for numbers in ledger.state["parts"].values() for place in numbers]
    assert len(places) == MOST_GONE + len(PARTITIONS)
    assert ledger.state["parts"][TOPIC]["0"][0] == 3


def test_topics_that_nobody_named_are_not_told_of(readings: str) -> None:
    other = b"other.topic"
    refused = struct.pack(">hh", 17, len(other)) + other + b"\0" + bytes(4)

    def add(asked: int, answer: bytes) -> bytes:
        """One more topic at the end, which is not to be had."""
        if asked != METADATA:
            return answer
        at = answer.index(struct.pack(">h", len(TOPIC)) + TOPIC.encode()) - 6
        return answer[:at] + struct.pack(">i", 2) + answer[at + 4 :] + refused

    with Front(readings, change=add) as front:
        ledger = Ledger()
        ledger.run(make_kafka(f"127.0.0.1:{front.port}", topics=["plant.*"]), 3)

    assert (ledger.notes, ledger.state["told"]) == ([], [])
