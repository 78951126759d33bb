"""Record batches: read to a limit, damaged ones handed on, what a transaction gave up left out."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Sequence
from typing import Any

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, decode_varint
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.kafka import records
from shared.providers.kafka.records import BATCH_BYTES, Fetched, Record, Step, Unreadable, read_batches

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
HEAD = 61


def make_batch(base: int = 0, count: int = 3, *, producer: int = -1, transactional: bool = False) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, int(transactional), producer, 0, 0, 1_000_000)
    for number in range(count):
        builder.append(number, 1_700_000_000_000 + number, b"key", b"value %d" % (base + number), [])
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def sign(batch: bytes) -> bytes:
    """The batch with the length and the checksum that it should have."""
    batch = batch[:8] + struct.pack(">i", len(batch) - 12) + batch[12:]
    return batch[:17] + struct.pack(">I", calc_crc32c(batch[21:])) + batch[21:]


def compress(batch: bytes, kind: int, content: bytes) -> bytes:
    return sign(batch[:21] + struct.pack(">h", kind) + batch[23:HEAD] + content)


def make_marker(base: int, producer: int, *, is_abort: bool) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, -1, 1_000)
    builder.append(0, 0, struct.pack(">hh", 0, 0 if is_abort else 1), b"\x00" * 6, [])
    raw = struct.pack(">q", base) + bytes(builder.build())[8:]
    return sign(raw[:21] + struct.pack(">h", 0x30) + raw[23:])


def read(content: bytes, position: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> list[Step]:
    return list(read_batches(Fetched(content, aborted), position))


def list_offsets(steps: list[Step]) -> list[int]:
    return [step.item.offset for step in steps if isinstance(step.item, Record)]


def list_damage(steps: list[Step]) -> list[Unreadable]:
    return [step.item for step in steps if isinstance(step.item, Unreadable)]


def test_records_come_in_order_from_the_position_on() -> None:
    steps = read(make_batch(10) + make_batch(13) + make_batch(20, 1), 12)

    assert list_offsets(steps) == [12, 13, 14, 15, 20]
    assert steps[-1].next_offset == 21


def test_a_batch_that_is_cut_off_waits_for_the_next_fetch() -> None:
    steps = read(make_batch(0) + make_batch(3)[:-1])

    assert (list_offsets(steps), steps[-1].next_offset) == ([0, 1, 2], 3)


@pytest.mark.parametrize(
    ("kind", "bomb"),
    [
        (GZIP, gzip.compress(bytes(BATCH_BYTES + 1))),
        (SNAPPY, bytes(cramjam.snappy.compress_raw(bytes(BATCH_BYTES + 1)))),
        (LZ4, bytes(cramjam.lz4.compress(bytes(BATCH_BYTES + 1)))),
        (ZSTD, bytes(cramjam.zstd.compress(bytes(BATCH_BYTES + 1)))),
    ],
)
def test_a_few_bytes_that_stand_for_too_many_are_kept_as_they_came(kind: int, bomb: bytes) -> None:
    batch = compress(make_batch(5), kind, bomb)

    steps = read(batch + make_batch(8), 5)

    (kept,) = list_damage(steps)
    assert (kept.offset, kept.content) == (5, batch)
    assert "once decompressed" in kept.reason
    assert list_offsets(steps) == [8, 9, 10]


@pytest.mark.parametrize("kind", [GZIP, SNAPPY, LZ4, ZSTD, 5])
def test_what_is_compressed_badly_keeps_nothing_behind_it(kind: int) -> None:
    steps = read(compress(make_batch(0), kind, b"nonsense" * 20) + make_batch(3))

    assert [kept.offset for kept in list_damage(steps)] == [0]
    assert list_offsets(steps) == [3, 4, 5]


def test_a_wrong_checksum_is_told() -> None:
    batch = bytearray(make_batch())
    batch[-1] ^= 1

    (kept,) = list_damage(read(bytes(batch)))

    assert "its checksum is wrong" in kept.reason


def test_a_batch_whose_end_is_damaged_gives_what_is_before() -> None:
    good = make_batch(0, 3)
    batch = sign(good[: HEAD - 4] + struct.pack(">i", 4) + good[HEAD:])

    steps = read(batch)

    assert list_offsets(steps) == [0, 1, 2]
    assert [kept.offset for kept in list_damage(steps)] == [3]


def test_a_message_from_before_kafka_0_11_is_kept_as_it_came() -> None:
    old = (
        struct.pack(">qi", 7, 26)
        + struct.pack(">Ibb", 0, 0, 0)
        + b"\xff\xff\xff\xff"
        + b"\x00\x00\x00\x0c"
        + b"x" * 12
    )

    steps = read(old, 7)

    assert "from before Kafka 0.11" in list_damage(steps)[0].reason
    assert steps[-1].next_offset == 8


def test_what_a_transaction_gave_up_is_left_out_and_what_it_committed_is_not() -> None:
    given_up = make_batch(0, 2, producer=9, transactional=True)
    committed = make_batch(3, 2, producer=9, transactional=True)
    other = make_batch(6, 1, producer=4, transactional=True)

    steps = read(
        given_up + make_marker(2, 9, is_abort=True) + committed + make_marker(5, 9, is_abort=False) + other,
        aborted=[(9, 0)],
    )

    assert list_offsets(steps) == [3, 4, 6]
    assert steps[-1].next_offset == 7


@given(st.binary(max_size=400), st.integers(0, 10))
def test_whatever_comes_reading_it_ends_and_goes_forward(content: bytes, position: int) -> None:
    steps = read(content, position)

    offsets = [position, *(step.next_offset for step in steps)]
    assert offsets == sorted(offsets)


@given(st.integers(0, 250), st.binary(min_size=1, max_size=8))
def test_whatever_is_damaged_reading_it_ends(at: int, noise: bytes) -> None:
    batch = bytearray(make_batch(0, 5) + make_batch(5, 5))
    at = min(at, len(batch) - len(noise))
    batch[at : at + len(noise)] = noise

    for step in read(sign(bytes(batch[: len(batch) // 2])) + bytes(batch[len(batch) // 2 :])):
        assert step.next_offset >= 0


def write_varint(number: int) -> bytes:
    number, out = number * 2 if number >= 0 else -number * 2 - 1, b""
    while number > 0x7F:
        number, out = number >> 7, out + bytes([number & 0x7F | 0x80])
    return out + bytes([number])


def test_what_ends_a_transaction_is_decompressed_to_a_limit_too() -> None:
    marker = make_marker(2, 9, is_abort=True)
    bomb = sign(
        marker[:21] + struct.pack(">h", 0x31) + marker[23:HEAD] + gzip.compress(bytes(4 * BATCH_BYTES))
    )
    tracemalloc.start()

    steps = read(make_batch(0, 2) + bomb)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list_offsets(steps) == [0, 1]
    assert most < 3 * BATCH_BYTES


@pytest.mark.parametrize("kind", [0, GZIP])
def test_a_record_of_nothing_but_headers_is_kept_as_it_came(kind: int) -> None:
    count = 300_000
    body = (
        b"\0" + b"\0" * 2 + write_varint(-1) + write_varint(1) + b"x" + write_varint(count) + b"\0\1" * count
    )
    content = write_varint(len(body)) + body

    steps = read(
        compress(make_batch(5, 1), kind, gzip.compress(content) if kind else content) + make_batch(6)
    )

    (kept,) = list_damage(steps)
    assert "headers" in kept.reason
    assert list_offsets(steps) == [6, 7, 8]


def test_large_records_with_a_few_headers_are_read() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1_000_000)
    for number in range(3):
        builder.append(number, 0, b"k" * 70_000, b"v" * 70_000, [("a", b"b"), ("c", None)])

    assert list_offsets(read(bytes(builder.build()))) == [0, 1, 2]


def test_records_of_no_length_are_not_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def count(records: bytes, at: int) -> Any:
        looked_at.append(at)
        length, after = decode_varint(records, at)
        return length, after

    monkeypatch.setattr(records, "decode_varint", count)

    steps = list(read_batches(Fetched(compress(make_batch(), 1, gzip.compress(bytes(200_000))), ()), 0))

    assert isinstance(steps[0].item, Unreadable)
    assert len(looked_at) <= 1
