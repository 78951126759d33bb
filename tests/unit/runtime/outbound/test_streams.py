"""Streams whose listener was away: who spoke meanwhile is heard, who says nothing for long is not waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.runtime.deadline import Deadline
from shared.runtime.errors import TimedOut
from shared.runtime.outbound import EventStreamReader, WebSocketStream, event_stream, websocket
from shared.runtime.outbound.exchange import OutboundRequest
from tests.fakes.graphql.raw import TRANSPORT_WS, Peer, RawServer, frame

pytestmark = pytest.mark.usefixtures("allow_loopback")
SILENCE = 0.2
SECONDS = 30.0


@pytest.fixture(autouse=True)
def _silence_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", SILENCE)
    monkeypatch.setattr(event_stream, "SILENT_SECONDS", SILENCE)


def open_socket(server: RawServer) -> WebSocketStream:
    stream = WebSocketStream("o")
    stream.open(OutboundRequest("GET", server.url), (TRANSPORT_WS,))
    return stream


def open_events(server: RawServer) -> EventStreamReader:
    stream = EventStreamReader("o")
    stream.open(OutboundRequest("POST", server.url, body=b"{}"))
    return stream


def listen(stream: WebSocketStream) -> None:
    patience = Deadline(SECONDS)
    while not patience.expired:
        stream.receive(0.05)


def speak_by_socket(peer: Peer) -> None:
    peer.switch()
    peer.say({"a": 1})
    peer.wait_end()


def speak_by_events(peer: Peer) -> None:
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {"a":1}\n\n')
    peer.wait_end()


@pytest.mark.parametrize(
    ("open_stream", "script"), [(open_socket, speak_by_socket), (open_events, speak_by_events)]
)
def test_what_came_while_nobody_listened_is_handed_over(
    open_stream: Callable[[RawServer], Any], script: Callable[[Peer], None]
) -> None:
    with RawServer(script) as server, open_stream(server) as stream:
        time.sleep(3 * SILENCE)  # as for a database that is slow

        (came,) = stream.receive(SECONDS)

    assert json.loads(getattr(came, "data", came)) == {"a": 1}


def test_who_is_silent_is_asked_and_kept_while_it_answers() -> None:
    pings: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.switch()
        for _ in range(3):
            pings.append(peer.read_frame())
            peer.send(frame(b"", 10))
        peer.wait_end()

    with RawServer(script) as server, open_socket(server) as stream, pytest.raises(TimedOut, match="a ping"):
        listen(stream)

    assert pings == [b""] * 3


def test_fragments_of_a_large_message_count_as_memory() -> None:
    def script(peer: Peer) -> None:
        peer.switch()
        peer.send(frame(b"a" * 60_000, first=0) + frame(b"a" * 60_000, 0, first=0))
        peer.wait_end()

    patience = Deadline(SECONDS)
    with RawServer(script) as server, open_socket(server) as stream:
        while not stream._open_link.wanted and not patience.expired:
            stream.receive(0.05)

        assert stream._open_link.wanted == 1_048_576
