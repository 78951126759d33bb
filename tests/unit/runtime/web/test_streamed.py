"""Requests that come through the ASGI door: what WSGI would make of their heads, and bodies within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from shared.runtime.errors import BadRequest, Problem, TooLarge, Unavailable
from shared.runtime.memory import SMALL, MemoryBudget
from shared.runtime.web import call as call_module
from shared.runtime.web import streamed
from shared.runtime.web.call import Call
from shared.runtime.web.streamed import DRAINED, Event, StreamedRequest, TooSlow

LIMIT = 4 * SMALL


class Sender:
    """Sends a body in pieces; None for a connection that ends, and silence after the last."""

    def __init__(self, pieces: Iterable[bytes | None], *, is_whole: bool = True) -> None:
        self._pieces = list(pieces)
        self._is_whole = is_whole
        self.held: list[int] = []

    async def receive(self) -> Event:
        if not self._pieces:
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or not self._is_whole}

    async def hold(self, size: int) -> None:
        self.held.append(size)

    @property
    def left(self) -> int:
        return len(self._pieces)


def make_request(
    sender: Sender, headers: Iterable[tuple[bytes, bytes]] = (), **scope: Any
) -> StreamedRequest:
    usual = {
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": list(headers),
        "client": ("192.0.2.1", 4),
    }
    return StreamedRequest(usual | scope, sender.receive)


def read(sender: Sender, length: int | None = None) -> bytes:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return asyncio.run(make_request(sender, headers).read(LIMIT, sender.hold))


def test_the_head_is_what_wsgi_makes_of_it() -> None:
    headers = [
        (b"x-webhook-secret", b"caf\xe9"),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-for", b"192.0.2.8"),
        (b"x_webhook_secret", b"another"),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"3"),
    ]

    request = make_request(Sender([]), headers, path="/a b/\xe9", query_string=b"q=%20")

    assert request.environ == {
        "REMOTE_ADDR": "192.0.2.1",
        "QUERY_STRING": "q=%20",
        "HTTP_X_WEBHOOK_SECRET": "caf\xe9",
        "HTTP_X_FORWARDED_FOR": "192.0.2.7,192.0.2.8",
        "CONTENT_TYPE": "text/plain; charset=utf-8",
        "CONTENT_LENGTH": "3",
    }
    assert (request.path, request.args["q"], request.mimetype) == ("/a b/\xe9", " ", "text/plain")
    assert (request.content_length, request.headers["X-Webhook-Secret"]) == (3, "caf\xe9")


@pytest.mark.parametrize("pieces", [[b""], [b"whole"], [b"in ", b"", b"pieces"], [b"x" * LIMIT]])
def test_a_body_within_the_limit_is_read_whole(pieces: list[bytes]) -> None:
    assert read(Sender(pieces)) == b"".join(pieces)


@pytest.mark.parametrize("length", [None, LIMIT + 1])
def test_a_larger_body_is_refused_once_some_of_it_is_dropped(length: int | None) -> None:
    sender = Sender([b"x" * LIMIT] * (3 * DRAINED))

    with pytest.raises(TooLarge, match=f"larger than {LIMIT} bytes"):
        read(sender, length)

    assert DRAINED <= 3 * DRAINED - sender.left <= DRAINED + 2


def test_a_larger_body_that_ends_is_dropped_whole() -> None:
    sender = Sender([b"x" * LIMIT] * 3)

    with pytest.raises(TooLarge):
        read(sender)

    assert sender.left == 0


def test_nothing_is_held_for_a_small_body_and_for_a_large_one_before_more_of_it_is_there() -> None:
    small, declared, chunked = (
        Sender([b"x" * SMALL]),
        Sender([b"x" * (SMALL + 1), b"x" * (LIMIT - SMALL - 1)]),
        Sender([b"x" * (SMALL + 1), b"x" * 2 * SMALL, b"x"]),
    )

    read(small, SMALL)
    read(declared, LIMIT)
    read(chunked)

    assert (small.held, declared.held) == ([], [2 * (SMALL + 1)])
    assert chunked.held == [2 * (SMALL + 1), LIMIT]


def test_nothing_is_held_for_what_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "BODY_SECONDS", 0.05)
    sender = Sender([b"x" * SMALL], is_whole=False)

    with pytest.raises(TooSlow):
        read(sender, LIMIT)

    assert sender.held == []


def test_what_can_not_be_held_is_not_read() -> None:
    sender = Sender([b"x" * (SMALL + 1), b"x" * (LIMIT - SMALL - 1)])

    async def refuse(_: int) -> None:
        raise Problem

    with pytest.raises(Problem):
        asyncio.run(make_request(sender, [(b"content-length", str(LIMIT).encode())]).read(LIMIT, refuse))

    assert sender.left == 1


@pytest.mark.parametrize("pieces", [[None], [b"half", None]])
def test_a_body_that_breaks_off_is_no_body(pieces: list[bytes | None]) -> None:
    with pytest.raises(BadRequest, match="ended before the body"):
        read(Sender(pieces))


@pytest.mark.parametrize(
    ("pieces", "length"), [([b""], 7), ([b"hal", b"f"], 7), ([b"x" * SMALL, b"x"], LIMIT)]
)
def test_a_body_that_is_not_as_long_as_announced_is_no_body(pieces: list[bytes], length: int) -> None:
    with pytest.raises(BadRequest, match="not as long"):
        read(Sender(pieces), length)


@pytest.mark.parametrize("length", [None, 100, LIMIT + 1])
def test_a_body_that_never_ends_is_given_up(length: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "BODY_SECONDS", 0.05)

    with pytest.raises(TooSlow) as refused:
        read(Sender([b"trickle"], is_whole=False), length)

    assert refused.value.headers == {"Connection": "close"}


def test_a_large_body_waits_for_memory_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = MemoryBudget(4 * LIMIT)
    monkeypatch.setattr(call_module, "load_budget", lambda: budget)
    taken = budget.open("another")
    taken.hold(4 * LIMIT)

    async def load() -> tuple[bytes, bool]:
        length = [(b"content-length", str(LIMIT).encode())]
        sender = Sender([b"x" * 2 * SMALL, b"x" * 2 * SMALL])
        call = Call(make_request(sender, length), {"id": "7"})
        loading = asyncio.create_task(call.load_body())
        await asyncio.sleep(0.1)
        has_begun = sender.left == 0
        taken.close()
        body = await loading
        assert budget.free < 4 * LIMIT
        call.close()
        return body, has_begun

    body, has_begun = asyncio.run(load())

    assert (len(body), has_begun, budget.free) == (LIMIT, False, 4 * LIMIT)


def test_where_no_memory_gets_free_the_sender_is_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = MemoryBudget(4 * LIMIT)
    budget.open("another").hold(4 * LIMIT)
    monkeypatch.setattr(call_module, "load_budget", lambda: budget)
    monkeypatch.setattr(call_module, "MEMORY_SECONDS", 0.1)
    call = Call(make_request(Sender([b"x" * LIMIT]), [(b"content-length", str(LIMIT).encode())]), {"id": "7"})

    with pytest.raises(Unavailable, match="no memory"):
        asyncio.run(call.load_body())


async def load_beside_slow() -> tuple[bytes | Problem | None, bytes | Problem]:
    """What comes of the first of two bodies that hold all memory and never end, and of one that needs some."""

    async def load(sender: Sender, owner: str) -> bytes | Problem:
        call = Call(make_request(sender), {"id": owner})
        try:
            return await call.load_body()
        except Problem as problem:
            return problem
        finally:
            call.close()

    endless = [Sender([b"x" * LIMIT], is_whole=False) for _ in range(2)]
    slow = [asyncio.create_task(load(sender, f"slow {number}")) for number, sender in enumerate(endless)]
    await asyncio.sleep(0)
    other = await load(Sender([b"x" * LIMIT]), "other")
    first = slow[0].result() if slow[0].done() else None
    for task in slow:
        task.cancel()
    return first, other


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> MemoryBudget:
    """Memory for two bodies."""
    budget = MemoryBudget(2 * LIMIT)
    monkeypatch.setattr(call_module, "load_budget", lambda: budget)
    monkeypatch.setattr(call_module, "MEMORY_SECONDS", 0.5)
    return budget


def test_a_body_that_has_been_coming_for_long_gives_way_to_whoever_needs_its_memory(
    scarce: MemoryBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "SLOW_SECONDS", 0.0)

    slow, other = asyncio.run(load_beside_slow())

    assert isinstance(slow, TooSlow)
    assert other == b"x" * LIMIT
    assert scarce.free == 2 * LIMIT


def test_a_body_that_has_only_begun_to_come_gives_way_to_nobody(scarce: MemoryBudget) -> None:
    slow, other = asyncio.run(load_beside_slow())

    assert slow is None
    assert isinstance(other, Unavailable)
    assert scarce.free == 2 * LIMIT
