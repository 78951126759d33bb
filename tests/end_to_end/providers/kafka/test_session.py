"""A polling session against a real cluster: each record stored once, gaps told, nothing kept from being read."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from scripts.local.kafka_cluster import run_cluster
from shared.provider import Message, load_budget
from shared.providers.kafka.outbox import BOUNDS
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ConnectionRefused, OutsideError, ProviderRefused
from tests.fakes.kafka.front import Front
from tests.fakes.kafka.site import PARTITIONS, TOPIC, make_kafka, make_readings, produce
from tests.fakes.mqtt_driver import Ledger
from tests.seeds import SEEDS

pytestmark = pytest.mark.usefixtures("allow_loopback")
LIST_OFFSETS, METADATA = 2, 3
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    """Every session gives back the memory that it counted."""
    before = load_budget().free
    yield
    assert load_budget().free == before


def list_numbers(ledger: Ledger) -> list[int]:
    return sorted(message.payload["pressure"] for message in ledger.stored.values())


def read_one(servers: str, **config: Any) -> Message:
    ledger = Ledger()
    ledger.run(make_kafka(servers, **config), 1)
    (message,) = ledger.stored.values()
    return message


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_in_a_topic_is_stored_once_whatever_it_is_compressed_with(
    servers: str, compression: str
) -> None:
    produce(servers, make_readings(range(3_000)), settings={"compression.type": compression})
    ledger = Ledger()

    ledger.run(make_kafka(servers), 3_000)

    assert list_numbers(ledger) == list(range(3_000))
    assert ledger.duplicates == 0
    assert {message.device for message in ledger.stored.values()} == {"pump-1"}
    assert {message.topic for message in ledger.stored.values()} == {TOPIC}
    assert ledger.state["lag"] == 0


def test_the_records_of_one_partition_stay_in_their_order(servers: str) -> None:
    produce(servers, make_readings(range(2_000)), partition=2)
    ledger = Ledger()

    ledger.run(make_kafka(servers), 2_000)

    assert [message.payload["pressure"] for message in ledger.stored.values()] == list(range(2_000))


def test_a_record_is_named_by_its_cluster_topic_partition_and_offset(servers: str) -> None:
    produce(servers, make_readings([7]), partition=3)

    message = read_one(servers)

    cluster, *place = message.event_id.split(":")
    assert cluster.startswith("mockCluster")
    assert place == [TOPIC, "3", "0"]


@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_that_are_killed_at_any_moment_store_everything_once(servers: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    ledger = Ledger()
    for number in range(6):
        for partition in PARTITIONS:
            produce(servers, make_readings(range(number * 1_000, number * 1_000 + 250)), partition=partition)
        ledger.run_until(make_kafka(servers), chance.randrange(1, 1_500))

    ledger.run(make_kafka(servers), 6_000)

    assert len(ledger.stored) == 6_000
    assert ledger.duplicates == 0


def test_no_more_is_read_than_may_be_uncommitted(servers: str) -> None:
    produce(servers, make_readings(range(20_000)))
    held = []

    with Ledger().open_session(make_kafka(servers)) as session:
        for batch in session:
            held.append(batch)
            if len(held) > 400:
                break

    read = sum(len(batch.messages) for batch in held)
    assert BOUNDS.messages <= read < BOUNDS.messages + BOUNDS.batch_messages


def test_from_the_end_only_what_comes_after_the_first_session_is_read(servers: str) -> None:
    produce(servers, make_readings(range(10)))
    kafka, ledger = make_kafka(servers, start="end"), Ledger()
    ledger.run(kafka)

    produce(servers, make_readings(range(10, 20)))
    ledger.run(kafka, 10)

    assert list_numbers(ledger) == list(range(10, 20))


def test_a_topic_that_a_pattern_finds_later_is_read_from_its_beginning(servers: str) -> None:
    kafka, ledger = make_kafka(servers, topics=["plant.*"], start="end"), Ledger()
    produce(servers, make_readings(range(5)), topic="plant.old")
    ledger.run(kafka)

    produce(servers, make_readings(range(5, 9)), topic="plant.new")
    produce(servers, make_readings([99]), topic="another")
    ledger.run(kafka, 4)

    assert list_numbers(ledger) == [5, 6, 7, 8]


def test_a_tombstone_is_a_state_without_payload(servers: str) -> None:
    produce(servers, [None], key="valve-3")

    message = read_one(servers)

    assert (message.device, message.kind, message.payload) == ("valve-3", "state", None)
    assert message.metadata == {"tombstone": True}


def test_the_trace_and_a_cloud_event_s_attributes_come_from_headers(servers: str) -> None:
    headers: list[tuple[str, Any]] = [
        *(
            ("traceparent", TRACE),
            ("ce_specversion", "1.0"),
            ("ce_id", "A-1"),
            ("ce_type", "com.example.reading"),
        ),
        *(
            ("ce_source", "/plants/1"),
            ("ce_time", "2026-11-29T13:14:15Z"),
            ("content-type", "application/json"),
        ),
    ]
    produce(servers, make_readings([1]), headers=headers)

    message = read_one(servers)

    assert message.metadata == {
        "traceparent": TRACE,
        "cloudevents": {
            "specversion": "1.0",
            "id": "A-1",
            "type": "com.example.reading",
            "source": "/plants/1",
            "time": "2026-11-29T13:14:15Z",
            "datacontenttype": "application/json",
        },
    }
    assert message.observed_at == "2026-11-29T13:14:15+00:00"


def test_headers_that_are_no_trace_and_no_event_are_left(servers: str) -> None:
    produce(servers, make_readings([1]), headers=[("traceparent", "nonsense"), ("ce_id", "A"), ("x", None)])

    assert read_one(servers).metadata is None


@pytest.mark.parametrize(
    ("config", "topic", "device"),
    [
        ({}, TOPIC, "the-key"),
        ({"device_from": "header", "device_header": "device-id"}, TOPIC, "the-header"),
        ({"device_from": "topic", "topics": ["site.*.telemetry"]}, "site.pump-9.telemetry", "pump-9"),
        ({"device_from": "body"}, TOPIC, "the-body"),
        ({"device_id_path": "meta.id"}, TOPIC, "the-path"),
    ],
)
def test_the_device_comes_from_where_the_config_says(
    servers: str, config: dict[str, Any], topic: str, device: str
) -> None:
    body = orjson.dumps({"device": "the-body", "meta": {"id": "the-path"}, "temperature": 1})
    produce(servers, [body], topic=topic, key="the-key", headers=[("device-id", "the-header")])

    assert read_one(servers, **config).device == device


def test_without_a_key_the_body_names_the_device(servers: str) -> None:
    produce(servers, [b'{"device": "the-body", "temperature": 1}'], key=None)

    assert read_one(servers).device == "the-body"


def test_what_is_no_json_is_kept_raw_and_keeps_nothing_from_being_read(servers: str) -> None:
    produce(servers, [b'{"pressure": 0}', b"\xff\x00 no JSON", b"", b'{"pressure": 1}'], partition=0)
    ledger = Ledger()

    ledger.run(make_kafka(servers), 4)

    first, bad, empty, last = ledger.stored.values()
    assert (first.payload, last.payload) == ({"pressure": 0}, {"pressure": 1})
    assert (bad.raw_encoding, bad.device, bad.error is None) == ("base64", "pump-1", False)
    assert empty.error == "The body is empty."


def test_what_this_platform_has_sent_itself_is_not_read_back(servers: str) -> None:
    own = [("ce_specversion", "1.0"), ("ce_source", "/device-integrations/organization/x")]
    other = [("ce_specversion", "1.0"), ("ce_source", "/device-integrations/another/x")]
    produce(servers, make_readings([1]), headers=own)
    produce(servers, make_readings([2]), headers=other)

    assert read_one(servers).payload["pressure"] == 2


def test_what_retention_has_taken_is_told_and_reading_goes_on_behind_it(servers: str) -> None:
    kafka, ledger = make_kafka(servers), Ledger()
    produce(servers, make_readings([0]), partition=1)
    ledger.run(kafka, 1)

    # More than the cluster keeps of a partition.
    produce(servers, make_readings(range(1, 90_000)), partition=1)
    ledger.run(kafka, 1_001)

    (gap,) = [note for note in ledger.notes if note.alert]
    assert gap.alert == "broker.overflowed"
    assert "The records 1 to" in gap.message
    assert f"of partition 1 of {TOPIC} were deleted there" in gap.message
    assert ledger.duplicates == 0


def test_a_topic_that_was_made_anew_is_read_from_its_beginning_under_other_names(servers: str) -> None:
    produce(servers, make_readings(range(3)), partition=0)
    ledger = Ledger()
    ledger.run(make_kafka(servers), 3)
    ledger.state["parts"][TOPIC]["0"][0] = 500

    ledger.run(make_kafka(servers), 6)

    assert {event_id.partition(":")[2] for event_id in ledger.stored} == {
        *(f"{TOPIC}:0:{number}" for number in range(3)),
        *(f"{TOPIC}:0~1:{number}" for number in range(3)),
    }
    (gap,) = [note for note in ledger.notes if note.alert]
    assert "was made anew" in gap.message


def test_a_topic_that_was_made_anew_and_is_longer_than_what_was_read_is_read_from_its_beginning(
    servers: str,
) -> None:
    produce(servers, make_readings(range(5)), partition=0)
    ledger = Ledger()
    ledger.run(make_kafka(servers), 5)
    offset, stamp = ledger.state["parts"][TOPIC]["0"][:2]
    ledger.state["parts"][TOPIC]["0"] = [offset - 2, stamp - 60_000, 0]

    ledger.run(make_kafka(servers), 10)
    again = dict(ledger.state)
    ledger.run(make_kafka(servers), 10)

    assert (ledger.received, ledger.duplicates) == (10, 0)
    assert len([event_id for event_id in ledger.stored if f":{TOPIC}:0~1:" in event_id]) == 5
    assert again["parts"] == ledger.state["parts"]
    (gap,) = [note for note in ledger.notes if note.alert]
    assert "was made anew" in gap.message


def test_from_the_end_what_comes_to_a_partition_that_nobody_led_at_first_is_read_too(servers: str) -> None:
    produce(servers, make_readings(range(3)), partition=0)
    ledger = Ledger()

    def orphan(asked: int, answer: bytes) -> bytes:
        """The first partition has no leader: behind the topic come a flag and a count, a number and another."""
        at = answer.find(TOPIC.encode()) + len(TOPIC) + 5 + 6
        return answer[:at] + struct.pack(">i", -1) + answer[at + 4 :] if asked == METADATA else answer

    def find(asked: int, answer: bytes) -> bytes:
        """The first since then is the fourth; the cluster of the tests knows no times, and says -1."""
        at = answer.find(TOPIC.encode()) + len(TOPIC) + 18
        is_unknown = asked == LIST_OFFSETS and answer[at : at + 8] == b"\xff" * 8
        return answer[:at] + struct.pack(">q", 3) + answer[at + 8 :] if is_unknown else answer

    with Front(servers, change=orphan) as front:
        ledger.run(make_kafka(f"127.0.0.1:{front.port}", start="end"))
    unplaced = ledger.state["parts"][TOPIC]["0"]
    produce(servers, make_readings(range(3, 5)), partition=0)
    with Front(servers, change=find) as front:
        ledger.run(make_kafka(f"127.0.0.1:{front.port}", start="end"), 2)

    assert unplaced is None
    assert list_numbers(ledger) == [3, 4]


def test_another_cluster_at_the_same_address_is_told_and_read_whole(servers: str) -> None:
    produce(servers, make_readings(range(3)))
    ledger = Ledger()
    ledger.run(make_kafka(servers), 3)

    with run_cluster() as others:
        produce(others, make_readings(range(3)))
        ledger.run(make_kafka(others, start="end"), 3)
        produce(others, make_readings(range(3)), topic=TOPIC)
        ledger.run(make_kafka(others), 6)

    assert len(ledger.stored) == 6
    assert [note.alert for note in ledger.notes if note.alert] == ["broker.overflowed"]


def test_another_cluster_in_the_midst_of_a_session_ends_it_and_is_read_whole(servers: str) -> None:
    produce(servers, make_readings(range(3)))
    ledger = Ledger()
    with run_cluster() as others, Front(servers) as front:
        produce(others, make_readings(range(3, 6)))
        kafka = make_kafka(f"127.0.0.1:{front.port}")
        with ledger.open_session(kafka) as session:
            while len(ledger.stored) < 3:
                ledger.commit(next(session))
            front.server = others
            front.drop()
            with pytest.raises(OutsideError, match="Another cluster answers"):
                list(map(ledger.commit, session))
        ledger.run(kafka, 6)

    assert list_numbers(ledger) == list(range(6))


def test_a_topic_that_is_not_there_ends_the_session_with_words_and_is_not_made(servers: str) -> None:
    for _ in range(2):
        with pytest.raises(
            ProviderRefused, match="The topic nowhere can't be read: The broker answered UNKNOWN"
        ):
            Ledger().run(make_kafka(servers, topics=["nowhere"]))


def test_of_several_topics_one_that_is_missing_is_told_once_and_the_others_are_read(servers: str) -> None:
    produce(servers, make_readings(range(3)))
    kafka, ledger = make_kafka(servers, topics=[TOPIC, "nowhere"]), Ledger()

    for _ in range(2):
        ledger.run(kafka, 3)

    assert [note.message[:33] for note in ledger.notes] == ["The topic nowhere can't be read: "]


def test_a_broker_that_is_lost_ends_the_session_after_some_tries(servers: str) -> None:
    produce(servers, make_readings(range(10)))
    deadline = Deadline(50)
    ledger = Ledger()
    with run_cluster() as lost:
        produce(lost, make_readings(range(10)))
        session = make_kafka(lost).session({}, deadline)
        for batch in session:
            ledger.commit(batch)
            if len(ledger.stored) == 10:
                break

    with pytest.raises(ConnectionRefused, match=r"(refused|ended) the connection"):
        list(map(ledger.commit, session))

    assert not deadline.expired


def test_with_several_brokers_each_is_asked_for_what_it_leads() -> None:
    with run_cluster(3) as servers:
        for partition in PARTITIONS:
            produce(
                servers, make_readings(range(partition * 500, partition * 500 + 500)), partition=partition
            )
        ledger = Ledger()
        ledger.run(make_kafka(servers), 2_000)

    assert list_numbers(ledger) == list(range(2_000))


def test_a_session_that_is_cut_off_says_that_there_is_more(servers: str) -> None:
    produce(servers, make_readings(range(4_000)))
    deadline, more = Deadline(30), []

    for batch in make_kafka(servers).session({}, deadline):
        batch.committed = True
        more.append(batch.more)
        if batch.messages:
            deadline.shorten(0)

    assert (more[-1], any(more[:-1])) == (True, False)


def test_too_many_partitions_are_refused_rather_than_left(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.kafka.placing.MOST_PARTITIONS", 3)
    produce(servers, make_readings([1]))

    with pytest.raises(ProviderRefused, match="have 4 partitions, and one session reads 3 at most"):
        Ledger().run(make_kafka(servers))
