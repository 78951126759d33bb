"""Whatever bytes come, in whatever pieces: behind a status they never change the verdict, and reading them ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.runtime.errors import OutsideError
from shared.runtime.outbound import OutboundReply
from shared.runtime.outbound.heads import NoStatusError
from shared.runtime.outbound.reading import HEAD_BYTES, ReplyReader
from tests.fakes.http_exchange import exchange
from tests.fakes.http_server import answer_with

LIMIT = 100

LINES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\x00",
        b"\xff",
        b":",
        b",",
        b";",
        b"0",
        b"5",
        b"-1",
        b"ffffffffffffffff",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"content-length:5,5\n",
        b"Content-Length: 1" + b"0" * 30,
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"X-A: 1\r\n",
        b" folded\r\n",
        b"Bad Header\r\n",
    ),
    *(b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\n", b"5\r\nhel", b"zz\r\n", b"5;a=b\r\n", b"hello", b"x" * 200),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 Up\r\n\r\n", b"HTTP/1.1 "),
    *(
        b"X-Long: " + b"x" * 9000 + b"\r\n",
        b"X: 1\r\n" * 140,
        b"\r\n" * 30,
        b"a: " + b" " * 9000 + b"\x00\r\n",
    ),
)
REST = st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=30).map(b"".join)
STATUS = st.builds(
    lambda version, code, reason: (b"HTTP/%s %d%s" % (version, code, reason), code),
    st.sampled_from([b"1.1", b"1.0", b"2.0"]),
    st.integers(101, 999).filter(lambda code: code == 101 or code >= 200),
    st.sampled_from([b" OK\r\n", b"\r\n", b" \n", b" Na\xc3\xafve\xff \r\n", b" "]),
)


class Pieces:
    """A connection on which `pieces` come one after the other, and then its end."""

    def __init__(self, pieces: Iterable[bytes], *, broken: bool = False) -> None:
        self.came = bytearray()
        self.broken = broken
        self._pieces = iter(pieces)

    async def more(self) -> bool:
        """The next piece, unless that was the last."""
        piece = next(self._pieces, b"")
        self.came += piece
        return bool(piece)

    async def listen(self, seconds: float) -> None:  # noqa: ARG002 - nothing here takes any time
        """The next piece."""
        await self.more()


def read(pieces: Iterable[bytes], *, with_body: bool = True, linger: bool = True) -> ReplyReader:
    reader = ReplyReader(Pieces(pieces), LIMIT, with_body=with_body, linger=linger)
    asyncio.run(reader.read())
    return reader


def cut_up(text: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


@given(status=STATUS, rest=REST, cuts=st.lists(st.integers(0), max_size=8), with_body=st.booleans())
@settings(max_examples=300)
def test_the_verdict_is_the_status_whatever_follows_it(
    *, status: tuple[bytes, int], rest: bytes, cuts: list[int], with_body: bool
) -> None:
    line, code = status

    reader = read(cut_up(line + rest, cuts), with_body=with_body)

    assert reader.head is not None
    assert reader.head.status == code
    assert len(reader.body) <= LIMIT
    assert len(reader.head.headers) <= 128
    assert reader.is_whole or reader.was_odd


@given(text=st.binary(max_size=200) | REST, cuts=st.lists(st.integers(0), max_size=8))
@settings(max_examples=300)
@example(text=b"HTTP/1.1 100 " + b"x" * (HEAD_BYTES + 1), cuts=[])
@example(text=b"\r\n" * HEAD_BYTES, cuts=[7])
def test_whatever_comes_is_a_reply_or_none_and_nothing_else(text: bytes, cuts: list[int]) -> None:
    try:
        reader = read(cut_up(text, cuts))
    except NoStatusError:
        return

    assert reader.head is not None
    assert b"HTTP/" in text


@given(
    status=STATUS,
    rest=st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=12).map(b"".join),
    place=st.integers(0),
)
@settings(max_examples=300)
def test_a_reading_that_is_stopped_anywhere_has_the_status_it_read(
    status: tuple[bytes, int], rest: bytes, place: int
) -> None:
    line, code = status
    pieces = cut_up(line + rest, [place % (len(rest) + 1) + len(line)])[:1]
    reader = ReplyReader(Stopping(pieces), LIMIT, with_body=True, linger=False)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(reader.read())

    assert reader.stop("it was late")
    assert reader.head is not None
    assert (reader.head.status, reader.was_odd) == (code, True)


class Stopping(Pieces):
    """As Pieces, but its end is that of the time."""

    async def more(self) -> bool:
        """The next piece, or the end."""
        if not await super().more():
            raise asyncio.CancelledError
        return True


@given(status=STATUS, rest=REST)
@settings(max_examples=40)
def test_on_a_real_connection_it_is_the_same(status: tuple[bytes, int], rest: bytes) -> None:
    line, code = status

    reply, _ = exchange(answer_with(line + rest, then_close=True), timeout_seconds=2)

    assert reply.status == code


@given(text=st.binary(max_size=60) | REST)
@settings(max_examples=40)
def test_on_a_real_connection_nothing_raises_but_our_own_errors(text: bytes) -> None:
    reply: OutboundReply | None = None
    with contextlib.suppress(OutsideError):
        reply, _ = exchange(answer_with(text, then_close=True), timeout_seconds=2)

    assert reply is None or reply.status >= 101


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b" " * 200_000 + b"\x00",
        b"X" * 200_000 + b" ",
        b"X: 1\r\n" + b" \r\n" * 60_000,
        b"a:\r\n" * 60_000,
        b"\r" * 200_000,
        b"content-length:" * 15_000,
        b": \t" * 60_000,
    ],
    ids=["spaces", "a name", "folds", "headers", "returns", "lengths", "colons"],
)
def test_a_head_made_to_take_long_takes_none(head: bytes) -> None:
    started = time.thread_time()

    reader = read([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"])

    assert reader.head is not None
    assert time.thread_time() - started < 0.5
