"""Functions of an event loop behind the local stack's threads: on one loop, whoever calls first."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from scripts.local import asgi_bridge
from scripts.local.asgi_bridge import Bridge
from tests.waiting import wait_until

CALLERS = 8
loops: set[asyncio.AbstractEventLoop] = set()


async def echo_body(scope: Any, receive: Any, send: Any) -> None:
    loops.add(asyncio.get_running_loop())
    body, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            body, more = b"gone", False
        else:
            body, more = body + event["body"], event["more_body"]
    await send(
        {
            "type": "http.response.start",
            "status": 202,
            "headers": [(b"x-path", scope["path"].encode("latin-1"))],
        }
    )
    await send({"type": "http.response.body", "body": body})


def call(body: bytes, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    usual = {"REQUEST_METHOD": "POST", "PATH_INFO": "/\xc3\xa9", "wsgi.input": io.BytesIO(body)}
    told: list[Any] = []
    pieces = Bridge(echo_body)(usual | environ, lambda *each: told.extend(each))  # type: ignore[arg-type]
    return told[0], dict(told[1]), b"".join(pieces)


@pytest.fixture(autouse=True)
def new_loop() -> Iterator[None]:
    loops.clear()
    asgi_bridge._start_loop.cache_clear()
    yield
    asgi_bridge._start_loop.cache_clear()
    for loop in loops:
        loop.call_soon_threadsafe(loop.stop)
    wait_until(lambda: not any(loop.is_running() for loop in loops), "they do not stop", 0.01)
    for loop in loops:
        loop.close()


def test_all_that_come_first_at_once_are_on_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    make, together = asyncio.new_event_loop, Barrier(CALLERS)

    def make_slowly() -> asyncio.AbstractEventLoop:
        time.sleep(0.05)
        return make()

    def call_together(_: int) -> bytes:
        together.wait()
        return call(b"x", CONTENT_LENGTH="1")[2]

    monkeypatch.setattr(asyncio, "new_event_loop", make_slowly)
    with ThreadPoolExecutor(CALLERS) as threads:
        bodies = list(threads.map(call_together, range(CALLERS)))

    assert bodies == [b"x"] * CALLERS
    assert len(loops) == 1


@pytest.mark.parametrize(
    "environ",
    [{"CONTENT_LENGTH": "200000"}, {"HTTP_TRANSFER_ENCODING": "chunked"}],
    ids=["declared", "chunked"],
)
def test_a_body_is_handed_on_whole(environ: dict[str, str]) -> None:
    assert call(b"x" * 200_000, **environ) == ("202 Accepted", {"X-Path": "/\u00e9"}, b"x" * 200_000)


def test_a_body_that_breaks_off_is_told_as_such() -> None:
    assert call(b"half", CONTENT_LENGTH="10")[2] == b"gone"
