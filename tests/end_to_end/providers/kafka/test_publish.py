"""Events produced to a real cluster: each device's in order, each with its id, and an outcome for each."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Sequence

import pytest

from scripts.local.kafka_cluster import run_cluster
from shared.provider import Event, EventDevice, Identity, PublishOutcome
from shared.runtime.deadline import Deadline
from shared.runtime.errors import OutsideError
from tests.fakes.kafka.front import Front
from tests.fakes.kafka.site import make_kafka, produce, read_all

pytestmark = pytest.mark.usefixtures("allow_loopback")
EVENTS = "devices.events"
SOURCE = Identity("organization", "from-there", "mqtt", "Plant")
PRODUCE, METADATA = 0, 3


@pytest.fixture
def topic(servers: str) -> str:
    """There is one, with a record of somebody else's."""
    produce(servers, [b"{}"], topic=EVENTS, partition=0)
    return servers


def make_events(count: int, devices: int = 7) -> list[Event]:
    return [
        Event(
            *(
                f"event-{number}",
                "device.telemetry",
                "telemetry",
                "2026-11-30T10:11:12+00:00",
                "organization",
            ),
            SOURCE,
            EventDevice("uuid", f"pump-{number % devices}", None),
            "plant/1",
            {"n": number},
        )
        for number in range(count)
    ]


def publish(servers: str, events: Sequence[Event], seconds: float = 30) -> list[PublishOutcome]:
    return list(make_kafka(servers, events_topic=EVENTS).publish(events, Deadline(seconds)))


def test_each_event_is_there_once_under_its_id_and_has_its_place_as_reference(topic: str) -> None:
    outcomes = publish(topic, make_events(500))

    records = {dict(record.headers() or []).get("event_id"): record for record in read_all(topic, EVENTS)}
    assert {outcome.event_id for outcome in outcomes} == {f"event-{number}" for number in range(500)}
    assert not [outcome for outcome in outcomes if outcome.problem]
    assert len(records) == 501
    for outcome in outcomes:
        record = records[outcome.event_id.encode()]
        assert outcome.reference == f"{EVENTS}/{record.partition()}/{record.offset()}"


def test_an_event_is_a_cloud_event_keyed_by_its_device(topic: str) -> None:
    publish(topic, make_events(1))

    (record,) = [record for record in read_all(topic, EVENTS) if record.headers()]
    assert record.key() == b"pump-0"
    assert dict(record.headers() or []) == {
        "event_id": b"event-0",
        "ce_specversion": b"1.0",
        "ce_id": b"event-0",
        "ce_source": b"/device-integrations/organization/from-there",
        "ce_type": b"device.telemetry",
        "ce_time": b"2026-11-30T10:11:12+00:00",
        "content-type": b"application/json",
    }
    said = json.loads(record.value() or b"")
    assert (said["id"], said["type"], said["data"]["payload"]) == ("event-0", "device.telemetry", {"n": 0})


def test_those_of_one_device_are_in_one_partition_and_in_order(topic: str) -> None:
    publish(topic, make_events(2_000))

    seen: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for record in read_all(topic, EVENTS):
        if record.headers():
            number = json.loads(record.value() or b"")["data"]["payload"]["n"]
            seen[record.key() or b""].append((record.partition() or 0, number))
    assert len(seen) == 7
    for places in seen.values():
        assert len({partition for partition, _ in places}) == 1
        assert [number for _, number in places] == sorted(number for _, number in places)


def test_an_event_without_a_device_goes_anywhere(topic: str) -> None:
    alert = Event(
        "a", "alert.raised", "alert", "2026-11-30T10:11:12+00:00", "organization", SOURCE, payload={}
    )

    (outcome,) = publish(topic, [alert])

    assert outcome.problem is None


def test_a_lost_acknowledgement_has_the_same_batch_sent_again_which_a_broker_knows(topic: str) -> None:
    lost = [0]

    def lose(key: int, answer: bytes) -> bytes:
        """The first acknowledgement says that the time was up, though the cluster has the batch."""
        if key != PRODUCE or lost[0]:
            return answer
        lost[0] += 1
        at = answer.index(EVENTS.encode()) + len(EVENTS)
        return answer[: at + 8] + struct.pack(">h", 7) + answer[at + 10 :]

    with Front(topic, change=lose) as front:
        outcomes = publish(f"127.0.0.1:{front.port}", make_events(30, devices=1))

    first, second = [question[8:] for key, question in front.questions if key == PRODUCE]
    batch = first[first.index(EVENTS.encode()) + len(EVENTS) + 12 :]
    producer, epoch, sequence = struct.unpack_from(">qhi", batch, 43)
    assert first == second
    assert (producer >= 0, epoch >= 0, sequence) == (True, True, 0)
    assert not [outcome for outcome in outcomes if outcome.problem]


def test_a_topic_that_is_not_there_is_told_and_not_made(servers: str) -> None:
    for _ in range(2):
        with pytest.raises(OutsideError, match="Nothing can be produced to the topic"):
            publish(servers, make_events(1))


def test_a_cluster_that_is_away_leaves_events_to_be_tried_again() -> None:
    with run_cluster() as lost:
        produce(lost, [b"{}"], topic=EVENTS)
    with pytest.raises(OutsideError) as failure:
        publish(lost, make_events(3), 5)

    assert not failure.value.is_final


def test_an_event_that_is_too_large_ends_alone(topic: str) -> None:
    def refuse(key: int, answer: bytes) -> bytes:
        if key != PRODUCE:
            return answer
        at = answer.index(EVENTS.encode()) + len(EVENTS)
        return answer[: at + 8] + struct.pack(">h", 10) + answer[at + 10 :]

    with Front(topic, change=refuse) as front:
        (outcome,) = publish(f"127.0.0.1:{front.port}", make_events(1))

    assert outcome.problem is not None
    assert outcome.problem.is_final
    assert "larger than the topic takes" in outcome.problem.detail


def make_answer(frame: bytes) -> bytes:
    """An answer to a batch, without anything that went wrong."""
    version = int.from_bytes(frame[2:4])
    at = frame.index(EVENTS.encode()) + len(EVENTS) + 4
    more = struct.pack(">q", -1) * (version >= 5) + struct.pack(">ih", 0, -1) * (version >= 8)
    name = struct.pack(">h", len(EVENTS)) + EVENTS.encode()
    place = frame[at : at + 4] + struct.pack(">hqq", 0, -1, -1) + more
    return struct.pack(">i", 1) + name + struct.pack(">i", 1) + place + struct.pack(">i", 0)


def change_code(answer: bytes, code: int) -> bytes:
    """The answer to a batch, saying `code`."""
    at = answer.index(EVENTS.encode()) + len(EVENTS)
    return answer[: at + 8] + struct.pack(">h", code) + answer[at + 10 :]


@pytest.mark.parametrize("code", [10, 87])
def test_events_that_a_broker_does_not_take_together_are_sent_apart_and_only_one_of_them_ends(
    topic: str, code: int
) -> None:
    poison = b'"n":5}'

    def drop(frame: bytes) -> bytes | None:
        """A topic that takes four records at most, and not the one of number 5: what it refuses it does not keep."""
        (count,) = struct.unpack_from(">i", frame, frame.index(EVENTS.encode()) + len(EVENTS) + 12 + 57)
        return change_code(make_answer(frame), code) if count > 4 or poison in frame else None

    with Front(topic, stand_in={PRODUCE: drop}) as front:
        outcomes = publish(f"127.0.0.1:{front.port}", make_events(30, devices=1))

    refused = [outcome for outcome in outcomes if outcome.problem]
    assert [outcome.event_id for outcome in refused] == ["event-5"]
    assert refused[0].problem is not None
    assert refused[0].problem.is_final
    numbers = [
        json.loads(record.value() or b"")["data"]["payload"]["n"]
        for record in read_all(topic, EVENTS)
        if record.headers()
    ]
    assert numbers == [number for number in range(30) if number != 5]


def test_a_partition_that_nobody_leads_keeps_none_but_its_own_events_from_being_sent(topic: str) -> None:
    def orphan(key: int, answer: bytes) -> bytes:
        """The first partition has no leader: behind the topic come a flag and a count, a number and another."""
        if key != METADATA:
            return answer
        at = answer.index(EVENTS.encode()) + len(EVENTS) + 5 + 6
        return answer[:at] + struct.pack(">i", -1) + answer[at + 4 :]

    with Front(topic, change=orphan) as front:
        outcomes = publish(f"127.0.0.1:{front.port}", make_events(50), 10)

    there = [outcome for outcome in outcomes if outcome.problem is None]
    assert {outcome.event_id for outcome in outcomes} == {f"event-{number}" for number in range(50)}
    assert there
    assert not [outcome for outcome in there if str(outcome.reference).startswith(f"{EVENTS}/0/")]
    assert not [outcome for outcome in outcomes if outcome.problem and outcome.problem.is_final]
