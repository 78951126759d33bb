"""Event streams as the HTML standard has them, however they are cut on their way."""

from __future__ import annotations

import pytest

from shared.runtime.outbound.server_events import MOST_LINES, EventReader, EventTooLargeError, ServerEvent

STREAM = (
    b'\xef\xbb\xbf: hello\n\nevent: next\ndata: {"a":1}\n\ndata:two\ndata: lines\nid: 7\nretry: 10\n\n'
    b"event: complete\ndata:\n\nevent: named\n\n\n\nunknown\n\ndata: not ended"
)
EVENTS = [("next", b'{"a":1}'), ("message", b"two\nlines"), ("complete", b""), ("named", b"")]


def read_in_pieces(stream: bytes, size: int, limit: int = 1_000) -> list[ServerEvent]:
    came, read = bytearray(), list[ServerEvent]()
    reader = EventReader(came, limit)
    for at in range(0, len(stream), size):
        came += stream[at : at + size]
        while event := reader.read():
            read.append(event)
    return read


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_read_with_any_end_of_lines_and_in_any_pieces(size: int, end: bytes) -> None:
    assert read_in_pieces(STREAM.replace(b"\n", end), size) == EVENTS


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 2_000 + b"\n\n",
        b"data: " + b"x" * 2_000,
        b"data: x\n" * 600,
        b": c\n" * (MOST_LINES + 1),
    ],
    ids=["one line", "a line without end", "many lines", "lines without end"],
)
def test_an_event_that_is_too_large_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooLargeError):
        read_in_pieces(stream, 100)


def test_comments_between_events_may_go_on_for_ever() -> None:
    assert read_in_pieces(b": still here\n\n" * 20_000 + b"data: x\n\n", 4_000) == [("message", b"x")]
