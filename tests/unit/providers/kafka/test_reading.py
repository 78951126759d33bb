"""Records as messages: nothing in a key or a header is more than can be stored, or kept in memory."""

from __future__ import annotations

import pytest

from shared.provider import Message, ProtocolFailed
from shared.providers.kafka.fetching import MOST_STUCK, Partition, read_fetched
from shared.providers.kafka.reading import RecordReader, _decode_name
from shared.providers.kafka.records import Fetched, Record
from tests.fakes.kafka.site import make_kafka
from tests.unit.providers.kafka.test_records import make_batch

PARTITION = Partition("plant.telemetry", 0, 1, 0, 1)


def read(record: Record) -> Message:
    message = RecordReader(make_kafka("127.0.0.1:1").read_plan).read(PARTITION, record)
    assert isinstance(message, Message)
    return message


def test_a_nul_in_the_name_of_a_header_is_replaced_for_the_database_takes_none() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_a\0b", b"x\0y")]

    message = read(Record(1, 0, b"pump-1", b"{}", headers))

    assert message.metadata == {"cloudevents": {"specversion": "1.0", "a\ufffdb": "x\ufffdy"}}


def test_a_key_that_is_too_long_for_a_device_is_not_remembered() -> None:
    before = _decode_name.cache_info().currsize

    assert read(Record(1, 0, bytes(1_000_000), b"{}", ())).device is None
    assert _decode_name.cache_info().currsize == before


def test_what_has_no_whole_record_batch_time_and_again_is_told_and_not_asked_for_for_ever() -> None:
    partition = Partition("plant.telemetry", 0, 1, 0, 1)
    cut_off = Fetched(make_batch()[:-1], ())
    for _ in range(MOST_STUCK - 1):
        assert not list(read_fetched(partition, cut_off))

    with pytest.raises(ProtocolFailed, match=r"partition 0 of plant.telemetry from offset 0 on"):
        list(read_fetched(partition, cut_off))

    assert len(list(read_fetched(partition, Fetched(make_batch(), ())))) == 4
    assert not list(read_fetched(partition, cut_off))
