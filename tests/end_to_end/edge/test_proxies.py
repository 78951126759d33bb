"""`supabase.functions.invoke` reaches the functions through their Edge Functions, as if nothing stood between."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.functions import url_name
from scripts.local.stack import ROOT
from shared.provider.standard_webhooks import make_secret
from tests.end_to_end.edge.conftest import EDGE_FUNCTIONS
from tests.fakes.golioth.webhooks import Forms
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform
from tests.stack import Stack

CALLED_BY_MACHINES = {"scheduler"}
"""A tick outlasts what an Edge Function may take, and is called under its own address."""


@pytest.fixture(scope="module")
def edge(stack: Stack, start_edge: Callable[[str, str], str]) -> str:
    """The URL of a project whose Edge Functions stand before the stack's functions."""
    return start_edge(stack.url, f"{stack.url}/functions/v1/")


@pytest.fixture(scope="module")
def seen(edge: str, stack: Stack, node_modules: Path) -> dict[str, Any]:
    """What supabase-js saw, doing all that a frontend does."""
    script = shutil.copy(Path(__file__).parents[1] / "supabase_js.mjs", node_modules.parent)
    owner = stack.user("owner", 1)
    arguments = [edge, stack.anon_key, owner.email, owner.password, str(owner.organization_id)]
    done = subprocess.run(
        ["node", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_function_that_frontends_and_senders_call_has_an_edge_function_that_checks_no_token() -> None:
    config = tomllib.loads((ROOT / "supabase" / "config.toml").read_text())
    functions = {url_name(file) for file in (ROOT / "functions").glob("*.py")} - {"--init--"}
    files = {file.parent.name: file.read_text() for file in EDGE_FUNCTIONS.glob("*/index.ts")}

    assert files.keys() == config["functions"].keys() == functions - CALLED_BY_MACHINES
    assert all(f'proxyTo("{name}")' in text for name, text in files.items())
    assert {settings["verify_jwt"] for settings in config["functions"].values()} == {False}


@pytest.mark.parametrize("command", [["check"], ["lint"], ["fmt", "--check", "--line-width=120"]])
def test_they_pass_the_checks_of_deno(deno: Path, command: list[str]) -> None:
    files = [str(file) for file in EDGE_FUNCTIONS.rglob("*.ts")]

    done = subprocess.run([deno, *command, *files], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_supabase_js_creates_reads_changes_tests_and_deletes(seen: dict[str, Any]) -> None:
    created = seen["created"]["id"]

    assert created in [integration["id"] for integration in seen["listed"]["integrations"]]
    assert seen["tag"]
    assert seen["changed"]["name"] == "Changed by supabase-js"
    assert [check["ok"] for check in seen["tested"]["checks"]] == [True, False]
    assert (seen["removed"], seen["deleted"]) == (None, [])


def test_supabase_js_finds_the_problem_document_of_a_refused_call(seen: dict[str, Any]) -> None:
    assert seen["refused"] == {"name": "FunctionsHttpError", "status": 422}
    assert seen["problem"]["errors"][0]["field"] == "integration_type"
    assert (seen["late"]["status"], seen["late"]["code"]) == (412, "precondition_failed")


def test_a_preflight_is_answered_by_the_function(edge: str, stack: Stack) -> None:
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PATCH"}

    replies = [
        httpx.options(f"{url}/functions/v1/integrations/{'0' * 8}", headers=asked, timeout=60)
        for url in (edge, stack.url)
    ]

    through, direct = (
        {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}
        for reply in replies
    )
    assert replies[0].status_code == replies[1].status_code
    assert through == direct
    assert "access-control-allow-methods" in through


@pytest.mark.parametrize(("size", "status"), [(1_048_576, 202), (1_048_577, 413)])
def test_a_push_of_any_bytes_is_stored_as_it_was_sent_and_too_large_a_one_refused(
    edge: str, stack: Stack, size: int, status: int
) -> None:
    admin, secret = Platform(stack, stack.user("admin", 0)), make_secret()
    config = {"api_key": "canary-api-key", "project_id": "acme", "webhook_secret": secret}
    integration_id = admin.create("golioth", config)["id"]
    push = Forms("acme").make_octets("d1", b"\xff\x00" + b"x" * (size - 2))

    reply = httpx.post(
        f"{edge}/functions/v1/golioth-webhook/{integration_id}",
        headers=push.headers | {"X-Webhook-Secret": secret},
        content=push.body,
        timeout=30,
    )

    rows = admin.rows("device_messages", integration_id=f"eq.{integration_id}", select="raw")
    assert reply.status_code == status, reply.text
    assert [base64.b64decode(row["raw"]) for row in rows] == ([push.body] if status == 202 else [])


def test_a_body_and_an_answer_go_through_while_they_are_still_coming(
    start_edge: Callable[[str, str], str],
) -> None:
    asked, heard = asyncio.run(_stream_through(start_edge))

    assert asked == [b"one", b"two"]
    assert heard == [b"first", b"second"]


async def _stream_through(start_edge: Callable[[str, str], str]) -> tuple[list[bytes], list[bytes]]:
    """Both sides send their second part only when they have the other's first."""
    asked, heard = list[bytes](), list[bytes]()
    arrived, released = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(await _read_chunk(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        arrived.set()
        asked.append(await _read_chunk(reader))
        await released.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        writer.close()

    async def send() -> AsyncIterator[bytes]:
        yield b"one"
        await arrived.wait()
        yield b"two"

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    edge = start_edge("http://127.0.0.1:9", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with (
        server,
        httpx.AsyncClient(timeout=20) as client,
        client.stream("POST", f"{edge}/functions/v1/receive/x", content=send()) as reply,
    ):
        async for chunk in reply.aiter_raw():
            heard.append(chunk)
            released.set()
    return asked, heard


async def _read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


def test_each_function_goes_to_its_own_service_with_path_and_query_and_nothing_of_the_edge(
    start_edge: Callable[[str, str], str], receiver: HttpReceiver
) -> None:
    place = f"http://127.0.0.1:{receiver.port}/at-{{function}}"
    receiver.answer = lambda _: Answer(302, b"", {"Location": "/elsewhere", "Set-Cookie": "a=1"})
    sent = {"CDN-Loop": "cloudflare", "CF-Ray": "1", "Authorization": "Bearer t", "apikey": "k"}

    reply = httpx.post(
        f"{start_edge(receiver.url, place)}/functions/v1/commands/a%2Fb?x=%20y&x=2",
        headers=sent,
        json={},
        timeout=60,
    )

    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/at-commands/a%2Fb?x=%20y&x=2")
    assert (request.headers["authorization"], request.headers["apikey"]) == ("Bearer t", "k")
    assert not {name for name in request.headers if name.startswith(("cdn-", "cf-"))}
    assert (reply.status_code, reply.headers["location"], reply.headers["set-cookie"]) == (
        302,
        "/elsewhere",
        "a=1",
    )


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("", 500, "DEVICE_INTEGRATIONS_URL is not set"),
        ("functions.example.com", 500, "DEVICE_INTEGRATIONS_URL is not set, or is no URL"),
        ("http://127.0.0.1:1", 503, "can't be reached just now"),
    ],
)
def test_what_goes_wrong_in_between_is_told_as_a_problem_that_a_browser_may_read(
    start_edge: Callable[[str, str], str], address: str, status: int, said: str
) -> None:
    url = f"{start_edge('http://127.0.0.1:9', address)}/functions/v1/integrations"
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "authorization"}

    preflight, reply = (
        httpx.options(url, headers=asked, timeout=60),
        httpx.get(url, headers=asked, timeout=60),
    )

    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (
        204,
        "authorization",
    )
    assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert said in reply.json()["detail"]
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["access-control-allow-origin"] == "*"
