"""A receiver as the image serves it, on an event loop: whoever is slow, leaves or sends too much is in nobody's way."""

from __future__ import annotations

import json
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from scripts.local.stack import ROOT
from shared.provider import make_secret
from shared.runtime.web.call import BODY_LIMIT
from tests.end_to_end.runtime.web.conftest import IMAGE, Server
from tests.fakes.otlp_receiver import OtlpReceiver
from tests.platform import Platform
from tests.waiting import wait_until

SECRET = make_secret()
THREADS = 8


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    server = start("receive", THREADS=str(THREADS))
    server.wait_until_up()
    return server


@pytest.fixture
def path(admin: Platform) -> str:
    """An integration's address."""
    config = {"project_id": "p", "api_key": "k", "webhook_secret": SECRET}
    return f"/functions/v1/receive/{admin.create('golioth', config)['id']}"


def count_messages(admin: Platform, path: str) -> int:
    integration_id = path.rpartition("/")[2]
    return len(admin.rows("device_messages", integration_id=f"eq.{integration_id}", select="id"))


def write_head(path: str, length: int | None, **headers: str) -> bytes:
    """The head of a post; without a length its body comes in chunks."""
    usual = {
        "Host": "localhost",
        "X-Webhook-Secret": SECRET,
        "Content-Type": "application/json",
        "Ce-Id": uuid.uuid4().hex,
    }
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{name}: {value}" for name, value in (usual | size | headers).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def post(server: Server, path: str, content: bytes, **headers: str) -> httpx.Response:
    proof = {"X-Webhook-Secret": SECRET, "Content-Type": "application/json"}
    return httpx.post(f"{server.url}{path}", content=content, headers=proof | headers, timeout=30)


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))


def read_status(connection: socket.socket) -> int:
    with connection.makefile("rb") as reader:
        return int(reader.readline().split()[1])


def test_many_that_are_slow_keep_nobody_waiting_and_are_answered_in_the_end(
    server: Server, path: str, connect: Callable[[], socket.socket], admin: Platform
) -> None:
    slow = [connect() for _ in range(10 * THREADS)]
    for connection in slow:
        connection.sendall(write_head(path, 9) + b'{"n"')

    quick = post(server, path, b'{"n": 1}')
    for connection in slow:
        connection.sendall(b": 17}")

    assert quick.status_code == 202
    assert [read_status(connection) for connection in slow] == [202] * len(slow)
    assert count_messages(admin, path) == len(slow) + 1


def test_who_leaves_before_the_body_is_there_stores_nothing_and_whoever_leaves_after_is_stored(
    server: Server, path: str, connect: Callable[[], socket.socket], admin: Platform
) -> None:
    early, late = connect(), connect()
    early.sendall(write_head(path, 9) + b'{"n"')
    late.sendall(write_head(path, 9) + b'{"n": 17}')
    early.close()
    late.close()

    wait_until(lambda: count_messages(admin, path) == 1, "it is not stored")
    assert post(server, path, b'{"n": 1}').status_code == 202
    statuses = [line["status"] for line in server.read_lines() if line["message"] == "request"]
    assert sorted(statuses) == [202, 202, 400]


@pytest.mark.parametrize("way", ["chunked", "declared"])
def test_a_body_of_a_megabyte_is_stored_and_one_of_more_refused_however_it_comes(
    server: Server, path: str, way: str, admin: Platform
) -> None:
    largest = json.dumps({"text": "x" * (BODY_LIMIT - 12)}).encode()
    assert len(largest) == BODY_LIMIT

    def send(body: bytes) -> httpx.Response:
        proof = {"X-Webhook-Secret": SECRET, "Content-Type": "application/json"}
        pieces = iter([body[: BODY_LIMIT // 2], body[BODY_LIMIT // 2 :]])
        content = pieces if way == "chunked" else body
        return httpx.post(f"{server.url}{path}", content=content, headers=proof, timeout=30)

    stored, refused = send(largest), send(largest + b" ")

    assert (stored.status_code, refused.status_code) == (202, 413)
    assert refused.json()["code"] == "too_large"
    assert count_messages(admin, path) == 1


def test_what_comes_at_the_same_time_is_each_stored_once_and_told_its_own(
    server: Server, path: str, admin: Platform
) -> None:
    def send(number: int) -> tuple[int, dict[str, int]]:
        # Each twice; every tenth without its proof.
        wrong = {"X-Webhook-Secret": "wrong"} if number % 10 == 9 else {}
        cloud = {"Ce-Id": f"e-{number // 2}", "Ce-Source": "a", "Ce-Type": "io.golioth.data.v1"}
        reply = post(server, path, b'{"n": %d}' % number, **cloud, **wrong)
        return reply.status_code, reply.json()

    with ThreadPoolExecutor(32) as threads:
        replies = list(threads.map(send, range(200)))

    accepted = [told for status, told in replies if status == 202]
    assert [status for status, _ in replies] == [401 if number % 10 == 9 else 202 for number in range(200)]
    assert sum(told["received"] for told in accepted) == 180
    assert sum(told["stored"] for told in accepted) == count_messages(admin, path) == 100


def test_sigterm_lets_who_is_being_served_have_an_answer(
    server: Server, path: str, connect: Callable[[], socket.socket], admin: Platform
) -> None:
    idle, sending = connect(), connect()
    sending.sendall(write_head(path, 9) + b'{"n"')
    assert post(server, path, b'{"n": 1}').status_code == 202

    server.process.send_signal(signal.SIGTERM)
    assert idle.recv(1) == b""
    sending.sendall(b": 17}")

    assert read_status(sending) == 202
    assert server.process.wait(30) == 0
    assert count_messages(admin, path) == 2


def test_a_process_that_is_left_alone_by_its_master_ends(server: Server) -> None:
    parent = server.process.pid
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()

    server.process.kill()
    server.process.wait()

    wait_until(lambda: not Path(f"/proc/{child}").exists(), "it goes on")


def test_its_probes_and_preflights_are_those_of_any_function(server: Server) -> None:
    health, ready = (httpx.get(f"{server.url}/{name}", timeout=20) for name in ("health", "ready"))
    preflight = httpx.options(
        f"{server.url}/health", headers={"Origin": "https://app.example.com"}, timeout=60
    )

    assert [(reply.status_code, reply.json()) for reply in (health, ready)] == [(200, {"ok": True})] * 2
    assert health.headers["cache-control"] == "no-store"
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


@pytest.mark.parametrize("chosen", [{}, {"FUNCTION_USE_ASGI": "1"}])
def test_functions_framework_by_itself_serves_it_too(
    start: Callable[..., Server], chosen: dict[str, str], path: str
) -> None:
    server = start("receive", ("-m", "functions_framework"), PYTHONPATH=str(ROOT), **chosen)
    server.wait_until_up()

    stored, refused = (
        post(server, path, b'{"n": 1}'),
        post(server, path, b"{}", **{"X-Webhook-Secret": "wrong"}),
    )

    # Its processes, unlike ours, would outlive one that is killed.
    server.process.terminate()
    server.process.wait(30)
    assert (stored.status_code, stored.json()["stored"]) == (202, 1)
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")


def test_what_it_observed_last_is_told_before_it_ends(start: Callable[..., Server], path: str) -> None:
    with OtlpReceiver() as collector:
        # It tells nothing of itself before.
        rarely = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_METRIC_EXPORT_INTERVAL": "600000"}
        server = start("receive", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **rarely)
        server.wait_until_up()
        assert post(server, path, b'{"n": 1}').status_code == 202

        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(30) == 0
        assert "POST /receive/{id}" in {span.name for span in collector.list_spans()}


@pytest.mark.parametrize(
    ("command", "outcome"), [(IMAGE, (202, 1)), (("-m", "functions_framework"), (400, 0))]
)
def test_a_push_that_asks_for_another_protocol_is_never_stored_without_its_body(
    start: Callable[..., Server],
    path: str,
    admin: Platform,
    command: tuple[str, ...],
    outcome: tuple[int, int],
) -> None:
    server = start("receive", command, PYTHONPATH=str(ROOT))
    server.wait_until_up()
    asking = {"Connection": "Upgrade", "Upgrade": "h2c"}

    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(write_head(path, 9, **asking) + b'{"n": 17}')
        told = read_status(connection)

    # Its processes, unlike ours, would outlive one that is killed.
    server.process.terminate()
    server.process.wait(30)
    assert (told, count_messages(admin, path)) == outcome
