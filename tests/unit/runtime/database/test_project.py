"""Calls to the project: on kept connections, bounded in time and size; real sockets, real TLS."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from shared.runtime.database import project
from shared.runtime.database.project import FAILURES, KEPT, Answer, Project
from tests.fakes.http_certificates import Authority
from tests.fakes.http_server import HttpServer, answer_bytes, answer_ok, answer_with, serve_http

Calls = Callable[[Project], object]


def call(
    answer: object, calls: Calls, *, tls: ssl.SSLContext | None = None, call_seconds: float = 5.0
) -> tuple[object, HttpServer]:
    """What `calls` returns of connections to a server with this `answer`, and what that server saw."""

    async def run() -> tuple[object, HttpServer]:
        async with serve_http(answer, tls=tls) as server:  # type: ignore[arg-type] # one of http_server's answers
            scheme = "https" if tls else "http"
            opened = Project(f"{scheme}://127.0.0.1:{server.port}/base", call_seconds=call_seconds)
            try:
                return await asyncio.to_thread(calls, opened), server
            finally:
                opened.close()

    return asyncio.run(run())


def get(opened: Project) -> Answer:
    return opened.send("GET", "/things?id=eq.1", {"apikey": "k"})


def test_a_request_goes_out_as_it_is_meant() -> None:
    answer, server = call(answer_ok, lambda opened: opened.send("POST", "/rpc/f", {"apikey": "k"}, b"{}"))

    assert answer == Answer(200, b"ok")
    assert server.heads[0].splitlines()[0] == "POST /base/rpc/f HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in server.heads[0]
    assert "apikey: k" in server.heads[0]
    assert server.bodies == [b"{}"]


def test_calls_after_one_another_share_a_connection() -> None:
    _, server = call(answer_ok, lambda opened: [get(opened) for _ in range(3)])

    assert (len(server.heads), server.connections) == (3, 1)


@pytest.mark.parametrize(
    "answer",
    [
        answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", then_close=True),
        answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
    ],
    ids=["closed unsaid", "closed as said"],
)
def test_a_connection_that_is_gone_is_not_used_again(answer: object) -> None:
    def call_twice(opened: Project) -> list[int]:
        first = get(opened)
        time.sleep(0.05)  # for what follows the answer to arrive
        return [first.status, get(opened).status]

    statuses, server = call(answer, call_twice)

    assert (statuses, server.connections) == ([200, 200], 2)


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def call_twice(opened: Project) -> None:
        get(opened)
        later = time.monotonic() + (KEPT.keepalive_expiry or 0)
        monkeypatch.setattr("httpcore._sync.http11.time", SimpleNamespace(monotonic=lambda: later))
        get(opened)

    _, server = call(answer_ok, call_twice)

    assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b"")),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", Answer(503, b"")),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", Answer(302, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            Answer(200, b"abc"),
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
            Answer(201, b"ok"),
        ),
    ],
    ids=["no content", "error", "redirect", "chunked", "after an interim answer"],
)
def test_an_answer_is_read_to_its_end_whatever_its_form(reply: bytes, answer: Answer) -> None:
    answers, _ = call(answer_with(reply), lambda opened: [get(opened), get(opened)])

    assert answers == [answer, answer]


@pytest.mark.parametrize(
    "answer",
    [
        answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", then_close=True),
        answer_with(b"", then_close=True),
        answer_with(b"SSH-2.0-OpenSSH\r\n\r\n"),
    ],
    ids=["cut short", "none", "another protocol"],
)
def test_what_is_no_whole_answer_is_a_failure(answer: object) -> None:
    with pytest.raises(FAILURES):
        call(answer, get)


def test_what_follows_an_answer_is_a_failure_of_the_next_call() -> None:
    more = answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more")

    with pytest.raises(FAILURES):
        call(more, lambda opened: [get(opened), get(opened)])


def test_a_server_that_drips_is_given_up_at_the_deadline() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        await answer_bytes(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        while True:
            await answer_bytes(writer, b".")
            await asyncio.sleep(0.02)

    with pytest.raises(TimeoutError):
        call(drip, lambda opened: opened.send("GET", "/"), call_seconds=0.2)


def test_an_answer_larger_than_the_limit_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "ANSWER_LIMIT", 100)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200

    with pytest.raises(FAILURES):
        call(answer_with(large), get)


def test_a_line_break_in_a_header_is_never_sent() -> None:
    def call_twice(opened: Project) -> None:
        get(opened)
        opened.send("GET", "/", {"Authorization": "Bearer a\r\nX: y"})

    with pytest.raises(FAILURES, match="header"):
        call(answer_ok, call_twice)


def test_over_tls_the_project_is_called_when_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    answer, server = call(answer_ok, lambda o: [get(o), get(o)], tls=authority.issue_server("127.0.0.1"))

    assert (answer, server.connections) == ([Answer(200, b"ok")] * 2, 1)


@pytest.mark.parametrize(
    ("name", "days", "known"), [("127.0.0.1", 1, False), ("other.test", 1, True), ("127.0.0.1", -1, True)]
)
def test_over_tls_nobody_else_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int, *, known: bool
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_text((authority if known else Authority()).pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        call(answer_ok, get, tls=authority.issue_server(name, days=days))


@pytest.mark.parametrize(("spared", "goes_through"), [("", True), ("database.invalid", False)])
def test_the_proxy_of_the_environment_is_used_but_for_whom_it_spares(
    monkeypatch: pytest.MonkeyPatch, spared: str, *, goes_through: bool
) -> None:
    monkeypatch.setenv("no_proxy", spared)

    async def run() -> list[str]:
        async with serve_http(answer_ok) as server:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
            opened = Project("http://database.invalid/base")
            with suppress(*FAILURES):
                await asyncio.to_thread(get, opened)
            opened.close()
            return [head.splitlines()[0] for head in server.heads]

    heads = asyncio.run(run())

    assert heads == ["GET http://database.invalid/base/things?id=eq.1 HTTP/1.1"] * goes_through
