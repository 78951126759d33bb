"""Two doors, one answer: what comes through WSGI and through ASGI is answered alike, to the byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import flask
import httpx
import pytest
from starlette.requests import Request
from typing_extensions import TypedDict

from shared.runtime.errors import RateLimited, Unauthenticated
from shared.runtime.web import asgi, aside
from shared.runtime.web import front as front_module
from shared.runtime.web.call import BODY_LIMIT, Call
from shared.runtime.web.events import EventStream, ServerEvent
from shared.runtime.web.front import AsyncFront, Probes
from shared.runtime.web.routes import Routes
from shared.runtime.web.routing import Router
from shared.runtime.web.text_reply import TextReply

routes = Routes()


class Echo(TypedDict):
    body: str
    id: str
    query: str


@routes.post("/echo/{id}", public=True, status=HTTPStatus.ACCEPTED)
def echo_body(call: Call) -> Echo:
    call.headers["X-Own"] = "own"
    return {"body": "", "id": call.parameters["id"], "query": call.environ["QUERY_STRING"]}


@routes.get("/tagged", public=True)
def show_tagged(call: Call) -> Echo:
    call.headers["ETag"] = '"1"'
    return {"body": "", "id": "", "query": ""}


@routes.get("/empty", public=True)
def show_nothing(_: Call) -> TextReply:
    return TextReply("")


@routes.get("/bytes", public=True)
def show_bytes(_: Call) -> TextReply:
    return TextReply(b"\x00\xff", "application/proto")


@routes.get("/no-bytes", public=True)
def show_no_bytes(_: Call) -> TextReply:
    return TextReply(b"", "application/proto")


@routes.get("/events", public=True)
def show_events(_: Call) -> EventStream:
    def count() -> Iterator[ServerEvent]:
        yield ServerEvent("step", 1)
        raise RateLimited

    return EventStream(count())


@routes.get("/limited", public=True)
def refuse_too_many(call: Call) -> None:
    call.headers["RateLimit"] = "r"
    raise RateLimited(retry_after=7)


@routes.get("/secret", public=True)
def refuse_unproven(_: Call) -> None:
    raise Unauthenticated


@routes.get("/broken", public=True)
def break_down(_: Call) -> None:
    raise RuntimeError("canary-in-an-exception")


@routes.post("/waits", public=True)
async def wait_for_body(call: Call) -> Echo:
    body = await call.load_body()
    await asyncio.sleep(0)
    return {"body": body.decode(), "id": "", "query": ""}


router = Router("sample", routes)
Answer = tuple[int, list[tuple[str, str]], bytes]


def ask_wsgi(method: str, path: str, headers: dict[str, str]) -> Answer:
    app = flask.Flask(__name__)
    app.before_request(lambda: router.answer(flask.request))
    reply = app.test_client().open(path, method=method, headers=headers)
    return reply.status_code, _sort(reply.headers.items()), reply.data


def ask_asgi(method: str, path: str, headers: dict[str, str], content: Any = b"") -> Answer:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (await asgi.answer(router, Request(scope, receive)))(scope, receive, send)

    async def ask() -> Answer:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            reply = await client.request(method, path, headers=headers, content=content)
            return reply.status_code, _sort(reply.headers.multi_items()), reply.content

    return asyncio.run(ask())


def _sort(headers: Any) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sample/echo/7?a=%20b&a=c"),
        ("POST", "/functions/v1/sample/echo/a%2Fb"),
        ("POST", "/echo/%C3%A9%FF"),
        ("GET", "/sample/echo/7"),
        ("PROPFIND", "/sample/echo/7"),
        ("OPTIONS", "/sample/echo/7"),
        ("OPTIONS", "/nowhere"),
        ("GET", "/nowhere"),
        ("GET", "//sample"),
        ("GET", "/tagged"),
        ("HEAD", "/tagged"),
        ("GET", "/empty"),
        ("GET", "/bytes"),
        ("GET", "/no-bytes"),
        ("GET", "/events"),
        ("GET", "/limited"),
        ("GET", "/secret"),
        ("GET", "/broken"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "x-own"},
        {"If-None-Match": '"1"'},
    ],
)
def test_both_doors_answer_alike(method: str, path: str, headers: dict[str, str]) -> None:
    sent = headers | {"X-Request-Id": "known"}

    by_threads, by_loop = ask_wsgi(method, path, sent), ask_asgi(method, path, sent)

    assert by_threads == by_loop
    assert ("x-request-id", "known") in by_loop[1]
    assert b"canary" not in by_loop[2]


def test_a_handler_may_wait_behind_the_one_door_only() -> None:
    status, _, body = ask_asgi("POST", "/waits", {}, b"said")

    assert (status, body) == (200, b'{"body":"said","id":"","query":""}')
    assert ask_wsgi("POST", "/waits", {})[0] == 500


def test_a_body_beyond_the_limit_is_refused_as_ever() -> None:
    status, headers, body = ask_asgi("POST", "/waits", {}, b"x" * (BODY_LIMIT + 1))

    assert (status, dict(headers)["content-type"]) == (413, "application/problem+json")
    assert b'"code":"too_large"' in body


def test_probes_are_answered_while_all_threads_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    threads = ThreadPoolExecutor(1)
    monkeypatch.setattr(aside, "_load_threads", lambda: threads)
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def probe() -> None:
        hanging = asyncio.create_task(aside.run_aside(going_on.wait))
        await asyncio.sleep(0)
        front = AsyncFront(asyncio.sleep, Probes("receive"))  # type: ignore[arg-type] # never called
        try:
            async with asyncio.timeout(10):
                await front({"type": "http", "method": "GET", "path": "/health"}, asyncio.Event().wait, send)  # type: ignore[arg-type] # never called
        finally:
            going_on.set()
            await hanging
            threads.shutdown()

    asyncio.run(probe())

    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"ok":true}')


def test_a_process_that_waits_for_its_project_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    monkeypatch.setattr(front_module, "check_access", lambda _: going_on.wait(10))
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def probe() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        front = AsyncFront(asyncio.sleep, Probes("receive"))  # type: ignore[arg-type] # never called

        def ask(path: str) -> Awaitable[None]:
            return front({"type": "http", "method": "GET", "path": path}, asyncio.Event().wait, send)  # type: ignore[arg-type] # never called

        waiting = [asyncio.ensure_future(ask("/ready")) for _ in range(3)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(5):
                await ask("/health")
        finally:
            going_on.set()
            await asyncio.gather(*waiting)

    asyncio.run(probe())

    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"ok":true}')
    assert len(sent) == 8
