"""What APIs may do to a session over an event stream: nothing is waited for for ever, or kept without bound."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from functools import partial

import pytest

from shared.provider import CredentialsRefused, Deadline
from shared.providers.graphql import event_feed
from shared.providers.graphql import session as sessions
from shared.runtime.outbound import event_stream
from tests.end_to_end.providers.graphql import hostile
from tests.fakes.graphql.driver import LIVE, list_ids, make_graphql, make_reading
from tests.fakes.graphql.raw import Peer, RawServer

pytestmark = pytest.mark.usefixtures("allow_loopback", "quick", "nothing_is_kept")
fail = partial(hostile.fail, protocol="sse")
listen = partial(hostile.listen, protocol="sse")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


def make_event(number: int) -> bytes:
    return f"event: next\ndata: {json.dumps({'data': {'readingAdded': make_reading(number)}})}\n\n".encode()


def make_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_events_come_in_chunks_of_any_size_and_without_a_length() -> None:
    def in_chunks(peer: Peer) -> None:
        peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for byte in make_event(1):
            peer.send(make_chunk(bytes((byte,))))
        peer.send(make_chunk(make_event(2) * 3 + make_event(3)))
        peer.wait_end()

    def to_the_end(peer: Peer) -> None:
        peer.send(HEAD + b"\r\n" + make_event(1) + make_event(2) + make_event(3))
        peer.wait_end()

    for script in (in_chunks, to_the_end):
        assert list_ids(listen(script, 3)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "answered 200 instead",
        ),
        (b"HTTP/1.1 415 No\r\nContent-Length: 0\r\n\r\n", "answered 415"),
        (
            b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "Redirects are not",
        ),
        (HEAD + b"\r\nevent: complete\ndata:\n\n", "ended the subscription"),
        (HEAD + b"\r\n", "ended the stream"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"data: {}\n\n"), "compressed"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", "no length"),
        (HEAD + b"Content-Length: 5, 6\r\n\r\nhello", "not one number"),
        (HEAD + b"\r\ndata: " + b"x" * 3_000_000, "too large"),
        (HEAD + b"\r\n" + b"data: x\n" * 400_000, "too large"),
        (HEAD + b"\r\n" + b"x" * 3_000_000, "too large"),
        (HEAD + b"X: " + b"y" * 300_000, "headers are longer"),
    ],
)
def test_what_is_no_stream_or_too_large_is_told_after_some_tries(reply: bytes, words: str) -> None:
    error, server = fail(lambda peer: peer.send(reply))

    assert words in error.detail
    assert server.connections == sessions.TRIES


def test_a_refusal_says_who_was_refused() -> None:
    body = b'{"errors":[{"message":"no such role"}]}'
    head = f"HTTP/1.1 403 No\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    error, server = fail(lambda peer: peer.send(head + body))

    assert isinstance(error, CredentialsRefused)
    assert "no such role" in error.detail
    assert server.connections == 1


def test_who_drips_a_head_or_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(peer: Peer) -> None:
        for byte in HEAD:
            peer.send(bytes((byte,)))
            time.sleep(0.05)

    def say_nothing(peer: Peer) -> None:
        peer.send(HEAD + b"\r\n")
        peer.wait_end()

    with monkeypatch.context() as impatient:
        impatient.setattr(event_feed, "OPEN_SECONDS", 0.3)
        assert "did not answer within" in fail(drip)[0].detail
    monkeypatch.setattr(event_stream, "SILENT_SECONDS", 0.3)
    assert "sent nothing for" in fail(say_nothing)[0].detail


def test_comments_keep_a_silent_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SILENT_SECONDS", 1.0)

    def script(peer: Peer) -> None:
        peer.send(HEAD + b"\r\n")
        for _ in range(30):
            peer.send(b":\n\n")
            time.sleep(0.1)
        peer.send(make_event(1))
        peer.wait_end()

    assert list_ids(listen(script, 1)) == [1]


def test_an_endless_stream_is_held_up_by_what_is_not_stored() -> None:
    sent = itertools.count()

    def script(peer: Peer) -> None:
        peer.send(HEAD + b"\r\n")
        while True:
            peer.send(b"".join(make_event(next(sent)) for _ in range(100)))

    with RawServer(script) as server:
        session = make_graphql(server.url, **LIVE, protocol="sse").session({}, Deadline(1.0))
        handed = list(itertools.islice(session, 300))
        count, held_up = sum(len(batch.messages) for batch in handed), next(sent)
        for batch in itertools.chain(handed, session):
            batch.committed = True

    assert 0 < count < 5_000
    assert held_up < 200_000
