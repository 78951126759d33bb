"""Record batches (Kafka's message format 2) as they come: checked, decompressed to a limit, read one by one.

What can't be read is handed on as it came, so that it keeps nothing behind it from being read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cramjam
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import decode_varint

BATCH_BYTES = 33_554_432
"""Of one batch once decompressed: a few bytes may stand for any number."""

MOST_HEADERS, LARGE_RECORD = 10_000, 65_536
"""Of one record, and the bytes from which on they are counted first: two bytes of a header become a hundred."""

LEAST_RECORD = 6
"""Bytes of one behind its length: attributes, time, offset, and the lengths of key, value and headers."""

MAGIC = 2
_HEAD = struct.Struct(">qiibIhi")
"""Base offset, length of what follows, leader epoch, magic, checksum, attributes, last offset delta."""

_WHOLE_HEAD = 61
_LENGTH_AT, _ATTRIBUTES_AT, _OVERHEAD = 8, 21, 12
_LEAST = 14
"""Bytes of what follows the length, of the oldest format."""

_COMPRESSION, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20
_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEAD = 16
_ABORT = b"\x00\x00\x00\x00"
_DAMAGE = (
    *(CorruptRecordException, cramjam.DecompressionError, zlib.error, struct.error),
    *(ValueError, LookupError, OverflowError, AssertionError, TypeError),
)


class Record(NamedTuple):
    """One record; without `value` a tombstone. `timestamp` is in milliseconds since 1970, less than 0 for none."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Unreadable(NamedTuple):
    """What stands for the records from `offset` on to the end of their batch, and why they can't be read."""

    offset: int
    content: bytes
    reason: str


class Fetched(NamedTuple):
    """What a broker gave of one partition: batches one after the other, of which the last may be cut off.

    `aborted` are transactions that were given up, as (producer id, first offset).
    """

    content: bytes
    aborted: Sequence[tuple[int, int]]


class Step(NamedTuple):
    """One thing of a partition, None where there was nothing to see, and the offset that is read next after it."""

    item: Record | Unreadable | None
    next_offset: int


def read_batches(fetched: Fetched, position: int) -> Iterator[Step]:
    """All that is whole, from `position` on, in the order of offsets."""
    aborted = sorted(fetched.aborted, key=lambda each: each[1])
    given_up: set[int] = set()
    for raw in _split(fetched.content):
        base, _, _, magic, _, attributes, delta = _HEAD.unpack_from(raw.ljust(_HEAD.size, b"\0"))
        next_offset = base + max(delta, 0) + 1 if magic == MAGIC else base + 1
        if next_offset <= position:
            continue
        while aborted and aborted[0][1] <= base:
            given_up.add(aborted.pop(0)[0])
        producer = int.from_bytes(raw[43:51], signed=True)
        if magic == MAGIC and attributes & _CONTROL:
            if _is_abort(raw):
                given_up.discard(producer)
        elif magic == MAGIC and attributes & _TRANSACTIONAL and producer in given_up:
            pass
        else:
            for step in _read_records(raw, magic, position):
                yield step
                position = step.next_offset
        yield Step(None, next_offset)
        position = next_offset


def _split(content: bytes) -> Iterator[bytes]:
    at = 0
    while at + _OVERHEAD <= len(content):
        (length,) = struct.unpack_from(">i", content, at + _LENGTH_AT)
        end = at + _OVERHEAD + length
        if length < _LEAST or end > len(content):
            return
        yield content[at:end]
        at = end


def _read_records(raw: bytes, magic: int, position: int) -> Iterator[Step]:
    try:
        if magic != MAGIC:
            raise ValueError("it is of a message format from before Kafka 0.11")
        if len(raw) < _WHOLE_HEAD:
            raise ValueError("its head is cut off")
        for each in _open_batch(raw):
            if each.offset >= position:
                record = Record(each.offset, each.timestamp, each.key, each.value, each.headers)
                position = each.offset + 1
                yield Step(record, position)
    except _DAMAGE as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        yield Step(
            Unreadable(position, raw, f"The record batch can't be read: {reason[:200]}."), position + 1
        )


def _open_batch(raw: bytes) -> Any:
    batch = DefaultRecordBatch(raw)
    if not batch.validate_crc():
        raise ValueError("its checksum is wrong")
    kind = raw[_ATTRIBUTES_AT + 1] & _COMPRESSION
    if not kind:
        _check_headers(raw, _WHOLE_HEAD)
        return batch
    content = _decompress(kind, raw[_WHOLE_HEAD:])
    _check_headers(content, 0)
    head = bytearray(raw[:_WHOLE_HEAD])
    head[_ATTRIBUTES_AT + 1] &= ~_COMPRESSION
    struct.pack_into(">i", head, _LENGTH_AT, _WHOLE_HEAD - _OVERHEAD + len(content))
    return DefaultRecordBatch(bytes(head) + content)


def _check_headers(records: bytes, at: int) -> None:
    """ValueError where one of the records has too many; of what is damaged, whoever reads it says so."""
    while len(records) - at > LARGE_RECORD:
        length, begin = decode_varint(records, at)
        if length < LEAST_RECORD:
            return
        if length > LARGE_RECORD and _count_headers(records, begin) > MOST_HEADERS:
            raise ValueError(f"one of its records has more than {MOST_HEADERS:,} headers")
        at = begin + length


def _count_headers(records: bytes, at: int) -> int:
    # Attributes, and what its time and offset differ by; then key and value, each behind its length.
    for _ in range(3):
        _, at = decode_varint(records, at)
    for _ in range(2):
        length, at = decode_varint(records, at)
        at += max(length, 0)
    return int(decode_varint(records, at)[0])


def _is_abort(raw: bytes) -> bool:
    """Whether a control batch gives a transaction up: it has one record, whose key says so."""
    try:
        return bool(next(iter(_open_batch(raw))).key == _ABORT)
    except (*_DAMAGE, StopIteration):
        return False


def _decompress(kind: int, content: bytes) -> bytes:
    if kind == _GZIP:
        return _decompress_gzip(content)
    if kind == _SNAPPY:
        return _decompress_snappy(content)
    if kind == _LZ4:
        return _decompress_into(cramjam.lz4.decompress_into, content)
    if kind == _ZSTD:
        return _decompress_into(cramjam.zstd.decompress_into, content)
    raise ValueError("its compression is of a kind that is not known")


def _decompress_gzip(content: bytes) -> bytes:
    parts: list[bytes] = []
    left = BATCH_BYTES
    while content:
        stream = zlib.decompressobj(wbits=31)
        parts.append(stream.decompress(content, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise ValueError(_describe_bomb())
        if not stream.eof:
            raise ValueError("its end is missing")
        content = stream.unused_data
    return b"".join(parts)


def _decompress_snappy(content: bytes) -> bytes:
    """One block, or several with their lengths before them, as Java's snappy library frames them."""
    if not content.startswith(_XERIAL):
        return _decompress_block(content, BATCH_BYTES)
    parts: list[bytes] = []
    at, left = _XERIAL_HEAD, BATCH_BYTES
    while at < len(content):
        (length,) = struct.unpack_from(">i", content, at)
        if length <= 0:
            raise ValueError("a block has no length")
        parts.append(_decompress_block(content[at + 4 : at + 4 + length], left))
        left -= len(parts[-1])
        at += 4 + length
    return b"".join(parts)


def _decompress_block(block: bytes, most: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > most:
        raise ValueError(_describe_bomb())
    return bytes(cramjam.snappy.decompress_raw(block))


def _decompress_into(decompress: Any, content: bytes) -> bytes:
    """Into as much room as it takes, four times as much each time: what does not fit is told like what is damaged."""
    size = max(4 * len(content), 65_536)
    while True:
        size = min(size, BATCH_BYTES)
        room = bytearray(size)
        try:
            return bytes(memoryview(room)[: decompress(content, room)])
        except cramjam.DecompressionError:
            if size == BATCH_BYTES:
                raise ValueError(f"it is damaged, or {_describe_bomb()}") from None
            size *= 4


def _describe_bomb() -> str:
    return f"it has more than {BATCH_BYTES:,} bytes once decompressed"
