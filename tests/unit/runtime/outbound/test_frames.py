"""WebSocket frames as RFC 6455 has them, and what is no such frame."""

from __future__ import annotations

import struct

import pytest

from shared.runtime.outbound.frames import (
    BINARY,
    CLOSE,
    MOST_FRAGMENTS,
    PING,
    TEXT,
    Frame,
    FrameError,
    FrameReader,
    read_close,
    write_close,
    write_frame,
)

LIMIT = 100_000


def make_frame(opcode: int, body: bytes = b"", *, last: bool = True, bits: int = 0) -> bytes:
    """A frame as a server writes it."""
    first, length = (0x80 if last else 0) | bits | opcode, len(body)
    if length < 126:
        return bytes((first, length)) + body
    if length < 65_536:
        return struct.pack("!BBH", first, 126, length) + body
    return struct.pack("!BBQ", first, 127, length) + body


def read_all(data: bytes, limit: int = LIMIT) -> list[Frame]:
    reader, read = FrameReader(bytearray(data), limit), list[Frame]()
    while frame := reader.read():
        read.append(frame)
    return read


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT])
def test_a_message_of_any_size_comes_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)

    assert read_all(make_frame(TEXT, body[:size])) == [(TEXT, body[:size])]


def test_a_message_that_comes_byte_by_byte_is_the_same() -> None:
    came = bytearray()
    reader, read = FrameReader(came, LIMIT), list[Frame]()

    for byte in make_frame(TEXT, b"x" * 300) + make_frame(BINARY, b"y"):
        came.append(byte)
        if frame := reader.read():
            read.append(frame)

    assert read == [(TEXT, b"x" * 300), (BINARY, b"y")]
    assert not came


def test_fragments_are_put_together_with_control_frames_between_them() -> None:
    data = make_frame(TEXT, b"a", last=False) + make_frame(PING, b"p") + make_frame(0, b"b", last=False)

    assert read_all(data + make_frame(0, b"c")) == [(PING, b"p"), (TEXT, b"abc")]


def test_what_is_not_all_there_says_how_much_it_needs() -> None:
    reader = FrameReader(bytearray(make_frame(TEXT, b"x" * 50_000)[:1_000]), LIMIT)

    assert reader.read() is None
    assert reader.wanted == 50_004


@pytest.mark.parametrize(
    "data",
    [
        make_frame(TEXT, b"x", bits=0x40),
        make_frame(TEXT, b"x", bits=0x10),
        make_frame(3),
        make_frame(15),
        write_frame(TEXT, b"masked"),
        make_frame(0, b"nothing begun"),
        make_frame(TEXT, b"a", last=False) + make_frame(TEXT, b"b"),
        make_frame(PING, b"x" * 126),
        make_frame(PING, b"x", last=False),
        make_frame(TEXT, b"x" * (LIMIT + 1)),
        struct.pack("!BBQ", 0x81, 127, 100 * 1024 * 1024),
        struct.pack("!BBQ", 0x81, 127, 2**63),
        make_frame(TEXT, b"x" * LIMIT, last=False) + make_frame(0, b"x"),
        make_frame(TEXT, last=False) + make_frame(0, last=False) * MOST_FRAGMENTS,
    ],
    ids=[
        *("compressed", "reserved bit", "unknown kind", "unknown control", "masked", "no beginning"),
        *(
            "two beginnings",
            "long ping",
            "ping in parts",
            "too large",
            "100 MB",
            "endless",
            "too large in parts",
        ),
        "too many parts",
    ],
)
def test_what_is_no_frame_or_too_much_is_refused_before_it_is_kept(data: bytes) -> None:
    with pytest.raises(FrameError):
        read_all(data)


def test_what_is_written_is_masked_and_says_its_length() -> None:
    for size in (0, 5, 126, 70_000):
        written = write_frame(TEXT, b"x" * size)
        head = {0: 2, 5: 2, 126: 4, 70_000: 10}[size]
        mask, masked = written[head : head + 4], written[head + 4 :]

        assert written[1] & 0x80
        assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked)) == b"x" * size


def test_a_close_says_its_code_and_reason() -> None:
    assert read_close(struct.pack("!H", 4403) + b"no") == (4403, "no")
    assert read_close(b"") == (1005, "")
    assert read_close(b"\x03\xe8\xff")[0] == 1000
    assert write_close(1000)[0] == 0x80 | CLOSE
