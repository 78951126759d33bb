"""What APIs may do to a session: nothing is asked for ever, kept without bound, followed elsewhere or stored twice."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.provider import (
    AddressBlocked,
    Batch,
    CredentialsRefused,
    Deadline,
    ProtocolFailed,
    StreamRefused,
    TimedOut,
)
from shared.providers.graphql import session as sessions
from shared.runtime.outbound import SocketAddress, WebSocketStream
from shared.runtime.outbound.exchange import OutboundRequest
from tests.end_to_end.providers.graphql.hostile import Script, fail, listen
from tests.fakes.graphql.driver import (
    LIVE,
    READ,
    list_ids,
    make_graphql,
    make_reading,
    make_readings,
)
from tests.fakes.graphql.raw import Peer, RawServer, frame
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback", "quick", "nothing_is_kept")


def after_acknowledging(*frames: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.acknowledge()
        for each in frames:
            peer.send(each)
        peer.wait_end()

    return script


NEXT = {"id": "1", "type": "next", "payload": {"data": {"readingAdded": make_reading(1)}}}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "answered 200 instead of a stream"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (
            b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "Redirects are not followed",
        ),
        (b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 100_000, "answered 500"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP reply"),
        (b"", "closed the connection"),
    ],
)
def test_what_does_not_switch_is_told_and_not_followed(reply: bytes, words: str) -> None:
    error, server = fail(lambda peer: peer.send(reply))

    assert words in error.detail
    assert server.connections == sessions.TRIES


def test_a_refusal_of_credentials_is_not_tried_again() -> None:
    reply = b'HTTP/1.1 401 No\r\nContent-Length: 33\r\n\r\n{"errors":[{"message":"no token"}]}'

    error, server = fail(lambda peer: peer.send(reply.replace(b": 33", b": 35")))

    assert isinstance(error, CredentialsRefused)
    assert "no token" in error.detail
    assert server.connections == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Sec_WebSocket_Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "invalid Sec-WebSocket-Accept"),
        ({"Upgrade": "h2c"}, "invalid Upgrade"),
        ({"Sec_WebSocket_Protocol": "mqtt"}, "unsupported subprotocol"),
        ({"Sec_WebSocket_Protocol": ""}, "chose none of the subprotocols"),
        ({"Sec_WebSocket_Extensions": "permessage-deflate"}, "no extensions supported"),
    ],
)
def test_what_was_not_offered_is_not_agreed_to(headers: dict[str, str], words: str) -> None:
    error, _ = fail(lambda peer: peer.switch(**headers))

    assert isinstance(error, ProtocolFailed)
    assert words in error.detail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(b"x", first=0xC0), "reserved bits"),
        (struct.pack("!BBQ", 0x81, 127, 100 * 1024 * 1024) + b"x" * 70_000, "104857600 bytes exceeds"),
        (struct.pack("!BBQ", 0x81, 127, 2**62), "exceeds limit of 1048576"),
        (frame(b"a", first=0) + frame(b"", 0, first=0) * 2_000, "fragments"),
        (frame(b"a" * 600_000, first=0) + frame(b"a" * 600_000, 0), "after reading 600000 bytes"),
        (b"\x85\x00", "invalid opcode"),
        (b"\x81\x85abcdefghi", "incorrect masking"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100, "broke the protocol"),
    ],
)
def test_frames_that_are_none_or_too_large_end_the_connection(data: bytes, words: str) -> None:
    error, server = fail(after_acknowledging(data))

    assert words in error.detail
    assert server.connections == sessions.TRIES


@pytest.mark.parametrize(
    "messages",
    [
        [NEXT],
        [{"type": "complete", "id": "1"}],
        [{"no": "type"}],
        [["list"]],
    ],
)
def test_what_comes_before_the_acknowledgement_ends_the_connection(messages: list[Any]) -> None:
    def script(peer: Peer) -> None:
        peer.switch()
        peer.say(*messages)
        peer.wait_end()

    error, _ = fail(script)

    assert "before it acknowledged" in error.detail


def test_who_never_acknowledges_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.providers.graphql import socket_feed

    monkeypatch.setattr(socket_feed, "ACK_SECONDS", 0.2)

    def script(peer: Peer) -> None:
        peer.switch()
        with_ka = itertools.repeat({"type": "ka"})
        for message in with_ka:
            peer.say(message)
            time.sleep(0.01)

    error, _ = fail(script)

    assert isinstance(error, TimedOut)
    assert "did not acknowledge" in error.detail


def test_who_drips_the_head_of_a_reply_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.providers.graphql import socket_feed

    monkeypatch.setattr(socket_feed, "OPEN_SECONDS", 0.3)

    def script(peer: Peer) -> None:
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-A: b\r\n" * 1_000:
            peer.send(bytes((byte,)))
            time.sleep(0.05)

    error, _ = fail(script)

    assert isinstance(error, TimedOut)


def test_complete_at_once_each_time_is_an_error_and_no_storm() -> None:
    def script(peer: Peer) -> None:
        peer.acknowledge()
        peer.say({"type": "complete", "id": "1"})
        peer.wait_end()

    error, server = fail(script)

    assert "ended the subscription" in error.detail
    assert server.connections == sessions.TRIES


def test_pings_of_both_kinds_are_answered_and_no_flood_is_kept() -> None:
    pongs: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.acknowledge()
        peer.say({"type": "ping", "payload": {"n": 1}})
        pongs.append(peer.read_frame())
        peer.send(frame(b"are you there", 9))
        pongs.append(peer.read_frame())
        peer.send(frame(b"x" * 125, 9) * 20_000)
        peer.tell({"readingAdded": make_reading(1)})
        peer.wait_end()

    ledger = listen(script, 1)

    assert pongs == [b'{"type":"pong"}', b"are you there"]
    assert list_ids(ledger) == [1]


def test_messages_of_other_subscriptions_are_passed_over_and_told_once() -> None:
    def script(peer: Peer) -> None:
        peer.acknowledge()
        for identifier in ("2", 1, None, ["1"], "", "\x00"):
            peer.say({**NEXT, "id": identifier}, {"type": "complete", "id": identifier})
        peer.say({"type": "unheard of", "id": "1"})
        peer.tell({"readingAdded": make_reading(7)})
        peer.wait_end()

    ledger = listen(script, 1)

    assert list_ids(ledger) == [7]
    assert [note.message for note in ledger.notes].count(sessions.STRANGE) == 1


ODD = [
    ("not JSON", b"hello"),
    ("not UTF-8", b"\xff\xfe{}"),
    ("deep", b'{"id":"1","type":"next","payload":{"data":{"r":' + b"[" * 3_000 + b"]" * 3_000 + b"}}}"),
    ("no object", b"[1,2]"),
    ("a number", b"7"),
    ("no data", b'{"id":"1","type":"next","payload":{"data":null}}'),
    ("no payload", b'{"id":"1","type":"next"}'),
    ("a text as payload", b'{"id":"1","type":"next","payload":"hi"}'),
    ("no errors", b'{"id":"1","type":"next","payload":{"errors":"x"}}'),
]


@pytest.mark.parametrize(("_", "message"), ODD)
def test_what_can_not_be_read_is_kept_raw_and_the_next_is_stored(_: str, message: bytes) -> None:
    rest = frame(json.dumps(NEXT).encode())

    ledger = listen(after_acknowledging(frame(message), frame(message), rest), 2)

    kept, reading = ledger.stored.values()
    assert kept.error
    assert kept.raw
    assert reading.payload == make_reading(1)


STORED = [
    ("NUL", b'{"id":"a\\u0000b","t":"x\\u0000"}', {"id": "a\ufffdb", "t": "x\ufffd"}),
    (
        "a huge integer",
        b'{"id":1,"t":123456789012345678901234567890}',
        {"id": 1, "t": 123456789012345678901234567890},
    ),
    ("beyond doubles", b'{"id":1,"t":1e400}', None),
    ("NaN", b'{"id":1,"t":NaN}', {"id": 1, "t": None}),
    ("half a character", b'{"id":1,"t":"\\ud800"}', {"id": 1, "t": "\ufffd"}),
    ("named twice", b'{"id":1,"t":1,"t":2}', {"id": 1, "t": 2}),
    ("a list as id", b'{"id":["x"],"t":2}', {"id": ["x"], "t": 2}),
    ("a text", b'"just words"', "just words"),
]


@pytest.mark.parametrize(
    ("item", "payload"), [(item, payload) for _, item, payload in STORED], ids=[s[0] for s in STORED]
)
def test_odd_values_are_stored_or_kept_raw(item: bytes, payload: Any) -> None:
    message = b'{"id":"1","type":"next","payload":{"data":{"readingAdded":' + item + b"}}}"

    ledger = listen(after_acknowledging(frame(message)), 1)

    (kept,) = ledger.stored.values()
    assert kept.payload == payload
    assert bool(kept.error) == (payload is None)


def nest(levels: int) -> bytes:
    return b"[" * levels + b'"]"' + b"]" * levels


DEEP = [95, 99, 150, 900, 3_000]
FINDS = [None, "readings[?id > `0`]"]


@pytest.mark.parametrize("levels", DEEP)
@pytest.mark.parametrize("finds", FINDS)
def test_one_item_that_is_nested_too_deep_costs_no_other_of_its_page(levels: int, finds: str | None) -> None:
    deep = b'{"id":2,"v":' + nest(levels) + b"}"
    page = b'{"data":{"readings":[{"id":1,"v":"["},' + deep + b',{"id":3}]}}'
    end = b'{"data":{"readings":[]}}'
    ledger = Ledger()

    with RawServer(lambda _: None, lambda asked: end if asked.get("variables") else page) as server:
        ledger.watch(make_graphql(server.url, **READ, query_items=finds, item_key="id"), 20)

    first, second, third = (ledger.stored[f"graphql:{number}"] for number in (1, 2, 3))
    assert (first.payload, third.payload, ledger.state["cursor"]) == ({"id": 1, "v": "["}, {"id": 3}, 3)
    assert bool(second.error) == (levels > 99)
    assert second.raw == deep.decode() if second.error else second.payload == json.loads(deep)


@pytest.mark.parametrize("levels", DEEP)
@pytest.mark.parametrize("finds", FINDS)
def test_one_item_that_is_nested_too_deep_costs_no_other_of_its_result(
    levels: int, finds: str | None
) -> None:
    deep = b'{"id":2,"v":' + nest(levels) + b"}"
    data = b'{"data":{"readings":[{"id":1},' + deep + b"]}}"
    message = b'{"id":"1","type":"next","payload":' + data + b"}"

    script = after_acknowledging(frame(message))
    ledger = listen(script, 2, subscription_items=finds, item_key="id")

    first, second = (ledger.stored[f"graphql:{number}"] for number in (1, 2))
    assert first.payload == {"id": 1}
    assert bool(second.error) == (levels > 99)
    assert second.raw == deep.decode() if second.error else second.payload == json.loads(deep)


def test_items_of_one_id_are_stored_once() -> None:
    same = [frame(json.dumps(NEXT).encode())] * 50
    other = json.dumps(NEXT | {"payload": {"data": {"readingAdded": make_reading(2)}}}).encode()

    ledger = listen(after_acknowledging(*same, frame(other)), 2)

    assert list_ids(ledger) == [1, 2]


def test_an_endless_stream_ends_with_the_session_and_waits_for_its_commits() -> None:
    def script(peer: Peer) -> None:
        peer.acknowledge()
        for number in itertools.count():
            peer.tell({"readingAdded": make_reading(number)})

    with RawServer(script) as server:
        graphql = make_graphql(server.url, **LIVE, protocol="transport-ws")
        session = graphql.session({}, Deadline(1.0))
        handed: list[Batch] = list(itertools.islice(session, 200))
        waiting = sum(len(batch.messages) for batch in handed)
        for batch in handed:
            batch.committed = True
        for batch in session:
            batch.committed = True

    assert 0 < waiting < 5_000


def answer_pages(pages: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda asked: {"data": pages(asked.get("variables", {}).get("cursor"))}


def poll(pages: Callable[[Any], Any], **config: Any) -> Ledger:
    ledger = Ledger()
    with RawServer(lambda _: None, answer_pages(pages)) as server:
        ledger.watch(make_graphql(server.url, **READ | config), 20)
    return ledger


def test_pages_that_never_end_give_way_after_some() -> None:
    asked: list[Any] = []

    def pages(cursor: Any) -> Any:
        asked.append(cursor)
        return {"readings": [make_reading((cursor or 0) + 1)]}

    ledger = poll(pages)

    assert len(asked) == 100
    assert ledger.state["cursor"] == 100


@pytest.mark.parametrize(
    "cursors",
    [{None: "A", "A": "B", "B": "A"}, {None: "A", "A": "A"}, {None: "B", "B": "A", "A": "B"}],
    ids=["A B A", "A A", "backwards"],
)
def test_cursors_that_go_in_circles_end_and_are_told(cursors: dict[Any, str]) -> None:
    asked: list[Any] = []

    def pages(cursor: Any) -> Any:
        asked.append(cursor)
        return {"readings": [make_reading(len(asked))], "next": cursors[cursor]}

    ledger = poll(pages, query_cursor="next", query_items="readings")

    assert len(asked) <= 3
    assert len(ledger.stored) == len(asked)


@pytest.mark.parametrize("cursor", ["x" * 5_000, {"a": "y" * 5_000}])
def test_a_cursor_that_can_not_be_kept_fails_the_poll(cursor: Any) -> None:
    with pytest.raises(ProtocolFailed, match="cursor has"):
        poll(lambda _: {"readings": [make_reading(1)], "next": cursor}, query_cursor="next")


def test_the_same_page_again_and_again_ends_the_poll() -> None:
    counter = itertools.count()

    ledger = poll(
        lambda _: {"readings": make_readings(3), "next": next(counter)},
        query_cursor="next",
        query_items="readings",
    )

    assert list_ids(ledger) == [0, 1, 2]
    assert next(counter) == 2


def test_a_result_with_too_many_items_fails_the_poll() -> None:
    with pytest.raises(ProtocolFailed, match="10,001 items"):
        poll(lambda _: {"readings": make_readings(10_001)}, query_cursor=None)


def test_secrets_that_an_api_says_back_are_in_nothing_that_is_stored_or_told() -> None:
    secret = "canary-of-the-payload"
    init = json.dumps({"headers": {"x-hasura-admin-secret": secret}})
    echo = {**NEXT, "payload": {"data": {"readingAdded": {"id": 1, "t": secret}}}}

    ledger = listen(after_acknowledging(frame(json.dumps(echo).encode())), 1, init_payload=init)
    error, _ = fail(
        after_acknowledging(frame(struct.pack("!H", 4403) + secret.encode(), 8)), init_payload=init
    )

    assert secret not in str(list(ledger.stored.values()))
    assert secret not in error.detail


def test_what_devices_say_is_whole_though_the_payload_has_the_same_words() -> None:
    init = json.dumps({"headers": {"x-hasura-role": "device"}})

    ledger = listen(after_acknowledging(frame(json.dumps(NEXT).encode())), 1, init_payload=init)

    (stored,) = ledger.stored.values()
    assert (stored.device, stored.payload) == ("d1", make_reading(1))


@pytest.mark.parametrize(
    "header", ["Upgrade", "Connection", "Sec_WebSocket_Protocol", "Sec_WebSocket_Accept"]
)
def test_secrets_that_a_handshake_says_back_are_not_told(header: str) -> None:
    error, _ = fail(lambda peer: peer.switch(**{header: "canary-token"}), bearer_token="canary-token")

    assert isinstance(error, ProtocolFailed)
    assert "canary" not in error.detail


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254"])
@pytest.mark.parametrize("protocol", ["transport-ws", "sse"])
def test_inner_addresses_get_no_connection(address: str, protocol: str) -> None:
    host = f"[{address}]" if ":" in address else address
    where = {"ws_endpoint": f"wss://{host}/graphql"} if protocol != "sse" else {}
    endpoint = "https://api.example.com" if where else f"https://{host}/graphql"

    with pytest.raises(AddressBlocked):
        Ledger().watch(make_graphql(endpoint, **LIVE, **where, protocol=protocol), 20)


def test_a_name_that_means_an_inner_address_the_second_time_is_looked_up_once() -> None:
    looked_up: list[str] = []

    def look_up(host: str, port: int) -> list[SocketAddress]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "169.254.169.254"
        return [SocketAddress(socket.AF_INET, address, port)]

    def script(peer: Peer) -> None:
        peer.switch()
        peer.tell({"readingAdded": make_reading(1)})
        peer.wait_end()

    with RawServer(script) as server, WebSocketStream("o", look_up=look_up) as stream:
        stream.open(
            OutboundRequest("GET", f"http://rebound.example:{server.port}/"), ("graphql-transport-ws",)
        )
        came = stream.receive(5)

    assert len(came) == 1
    assert looked_up == ["rebound.example"]


def test_a_way_that_is_refused_both_times_is_told_once() -> None:
    reply = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"

    error, server = fail(lambda peer: peer.send(reply), protocol="auto")

    assert isinstance(error, StreamRefused)
    assert "answered 404" in error.detail
    assert server.connections == 2 * sessions.TRIES
