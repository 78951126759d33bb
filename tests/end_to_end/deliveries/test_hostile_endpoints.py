"""Endpoints that hang, drip, flood, lie or are not there: each costs its own delivery; the log says why."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from tests.fakes import hostile_answers as hostile
from tests.fakes.http_certificates import Authority
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.fakes.http_server import HttpServer, answer_with, serve_http
from tests.platform import Platform, enqueue, run_tick
from tests.ports import find_free_port

REPLY_LIMIT = 16_384
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def serve_hostile(redirect_to: str) -> Iterator[dict[str, str]]:
    """The urls of endpoints that mean harm, by what they do."""
    redirect = f"HTTP/1.1 302 Found\r\nLocation: {redirect_to}\r\nContent-Length: 0\r\n\r\n".encode()
    answers = {
        "hang": hostile.never_answer,
        "drip head": hostile.drip_head,
        "drip body": hostile.drip_body,
        "gigabyte": hostile.announce_gigabyte,
        "bomb": hostile.send_gzip_bomb,
        "headers": hostile.send_many_headers,
        "long header": answer_with(OK + b"X-Long: " + b"x" * 8292 + b"\r\nContent-Length: 2\r\n\r\nok"),
        "204 with a body": answer_with(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        "140 headers": answer_with(OK + b"X-A: 1\r\n" * 140 + b"Content-Length: 2\r\n\r\nok"),
        "extra bytes": answer_with(OK + b"Content-Length: 2\r\n\r\nokay"),
        "cut short": answer_with(OK + b"Content-Length: 10\r\n\r\nhello", then_close=True),
        "bad chunk": answer_with(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"),
        "500 cut short": answer_with(
            b"HTTP/1.1 500 Broken\r\nContent-Length: 10\r\n\r\nhello", then_close=True
        ),
        "redirect": answer_with(redirect),
    }
    with run_loop() as loop:
        stack = AsyncExitStack()

        async def open_all() -> dict[str, HttpServer]:
            opened = {
                name: await stack.enter_async_context(serve_http(each)) for name, each in answers.items()
            }
            tls = Authority().issue_server("b.test")
            return opened | {"tls": await stack.enter_async_context(serve_http(answers["bomb"], tls=tls))}

        def wait(future: Future[Any]) -> Any:
            return future.result(10)

        opened = wait(asyncio.run_coroutine_threadsafe(open_all(), loop))
        yield {name: server.url for name, server in opened.items()} | {
            "tls": opened["tls"].url.replace("http:", "https:")
        }
        wait(asyncio.run_coroutine_threadsafe(stack.aclose(), loop))


@contextmanager
def run_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def deliver_to(admin: Platform, urls: dict[str, str]) -> dict[str, dict[str, Any]]:
    """One event to each of `urls`; by its name, how that webhook's delivery ended and its only attempt."""
    common = {"timeout_seconds": 2, "retry_schedule": []}
    webhooks = {admin.create("webhook", {"url": url} | common)["id"]: name for name, url in urls.items()}
    enqueue(admin, 1)
    run_tick(admin.stack, 30, 1)
    rows = admin.rows(
        "webhook_deliveries",
        integration_id=f"in.({','.join(webhooks)})",
        select="integration_id,status,webhook_attempts(status_code,error,reply)",
    )
    assert all(len(row["webhook_attempts"]) == 1 for row in rows)
    return {
        webhooks[row["integration_id"]]: {"status": row["status"]} | row["webhook_attempts"][0]
        for row in rows
    }


def test_each_hostile_endpoint_costs_its_own_delivery_and_is_named(admin: Platform) -> None:
    with HttpReceiver() as healthy, serve_hostile(f"{healthy.url}/redirected") as urls:
        elsewhere = {
            "healthy": healthy.url,
            "closed": f"http://127.0.0.1:{find_free_port()}/",
            "no name": "https://nowhere.invalid/",
        }
        ended = deliver_to(admin, urls | elsewhere)

    failed = {
        name: str(row["error"]).partition(":")[0] for name, row in ended.items() if not row["status_code"]
    }
    assert failed == {
        "hang": "timeout",
        "drip head": "timeout",
        "tls": "tls_error",
        "closed": "connection_refused",
        "no name": "dns_error",
    }
    assert {
        name: (row["status"], row["status_code"]) for name, row in ended.items() if name not in failed
    } == {
        "healthy": ("delivered", 200),
        "drip body": ("delivered", 200),
        "gigabyte": ("delivered", 200),
        "bomb": ("delivered", 200),
        "headers": ("delivered", 200),
        "long header": ("delivered", 200),
        "204 with a body": ("delivered", 204),
        "140 headers": ("delivered", 200),
        "extra bytes": ("delivered", 200),
        "cut short": ("delivered", 200),
        "bad chunk": ("delivered", 200),
        "redirect": ("dead", 302),
        "500 cut short": ("dead", 500),
    }
    assert {name: ended[name]["reply"] for name in ("healthy", "long header", "cut short")} == {
        "healthy": "ok",
        "long header": "ok\n[it has a header longer than 8190 bytes]",
        "cut short": "hello\n[the connection was closed before its end]",
    }
    assert [len(ended[name]["reply"]) <= REPLY_LIMIT for name in ("gigabyte", "bomb")] == [True, True]
    assert [request.path for request in healthy.requests] == ["/hook"]


def test_an_address_that_is_blocked_by_the_time_it_is_sent_to_is_named(admin: Platform) -> None:
    webhook = admin.create("webhook", {"url": "http://127.0.0.1/", "retry_schedule": []})
    with admin.stack.connect() as connection:
        connection.execute(
            "update device_integrations set settings = settings || %s where id = %s",
            (Jsonb({"url": "https://169.254.169.254/latest/meta-data"}), webhook["id"]),
        )
    enqueue(admin, 1)

    run_tick(admin.stack, 30, 0.5)

    (row,) = admin.rows(
        "webhook_deliveries",
        integration_id=f"eq.{webhook['id']}",
        select="status,webhook_attempts(status_code,error)",
    )
    (attempt,) = row["webhook_attempts"]
    assert (row["status"], attempt["status_code"]) == ("dead", None)
    assert attempt["error"].startswith("address_blocked: ")


def test_a_time_to_retry_after_that_no_calendar_has_is_a_retry_by_the_schedule(admin: Platform) -> None:
    date = "Mon, 01 Jan 99999999999 00:00:00 GMT"
    with HttpReceiver(lambda _: Answer(503, headers={"Retry-After": date})) as receiver:
        webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": [300]})
        enqueue(admin, 3)
        done = run_tick(admin.stack, 30, 0.5)

    rows = admin.rows("webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="status,attempts")
    assert done["deliveries"]["retried"] == 3
    assert rows == [{"status": "pending", "attempts": 1}] * 3
