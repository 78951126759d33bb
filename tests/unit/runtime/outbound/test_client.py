"""What OutboundClient puts on the wire, what it gives back, and what it refuses to send."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from shared.runtime.errors import AddressBlocked, BadRequest, NameNotResolved, Problem
from shared.runtime.outbound import AddressPolicy, OutboundClient, OutboundRequest, SocketAddress, send_once
from tests.fakes.http_exchange import LOOPBACK, answer_names, exchange, make_request, send_with
from tests.fakes.http_server import HttpServer, answer_ok, answer_with, serve_http


def test_a_request_arrives_as_it_was_given() -> None:
    reply, server = exchange(
        answer_ok, method="PUT", headers={"X-CaSe": "é", "Content-Type": "text/x"}, body=b"hello"
    )

    assert (reply.status, reply.body, reply.truncated, reply.headers["x-seen"]) == (200, b"ok", False, "yes")
    assert server.heads[0].startswith("PUT /hook HTTP/1.1\r\n")
    assert "\r\nX-CaSe: é\r\n" in server.heads[0]
    assert server.bodies == [b"hello"]
    assert reply.milliseconds > 0


def test_percent_signs_arrive_as_they_are() -> None:
    _, server = exchange(answer_ok, headers={"X-%s": "100 %", "X-%%": "%(X-%s)s %d"})

    assert "\r\nX-%s: 100 %\r\nX-%%: %(X-%s)s %d\r\n" in server.heads[0]


def test_the_client_adds_nothing_but_what_http_needs() -> None:
    _, server = exchange(answer_ok)

    names = [line.split(":")[0] for line in server.heads[0].split("\r\n")[1:] if line]
    assert sorted(names) == ["Accept", "Accept-Encoding", "Content-Length", "Host", "User-Agent"]
    assert "Accept-Encoding: identity" in server.heads[0]


def test_compression_is_not_asked_for_even_if_the_caller_would() -> None:
    _, server = exchange(answer_ok, headers={"accept-encoding": "gzip"})

    assert "gzip" not in server.heads[0]


def test_a_connection_is_kept_for_the_next_request() -> None:
    _, server = exchange(answer_ok, times=3)

    assert (server.connections, len(server.heads)) == (1, 3)


def test_a_body_over_a_megabyte_arrives_whole() -> None:
    body = bytes(range(256)) * 8192

    _, server = exchange(answer_ok, body=body)

    assert server.bodies == [body]


def test_a_reply_of_exactly_the_limit_is_whole_and_one_byte_more_is_cut() -> None:
    whole, _ = exchange(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234"), reply_limit=4)
    cut, _ = exchange(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"), reply_limit=4)

    assert (whole.body, whole.truncated) == (b"1234", False)
    assert (cut.body, cut.truncated) == (b"1234", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_reply_and_is_not_followed(status: int) -> None:
    to = f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"

    reply, server = exchange(answer_with(to.encode()))

    assert (reply.status, reply.headers["location"]) == (status, "http://127.0.0.1:1/")
    assert len(server.heads) == 1


def test_cookies_are_not_kept() -> None:
    _, server = exchange(
        answer_with(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"), times=2
    )

    assert "Cookie" not in server.heads[1]


def test_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    reply, server = exchange(answer_ok)

    assert reply.status == 200
    assert "Authorization" not in server.heads[0]


def test_the_host_header_stays_the_name() -> None:
    async def scenario() -> HttpServer:
        async with (
            serve_http(answer_ok) as server,
            OutboundClient(LOOPBACK, look_up=answer_names("127.0.0.1")) as client,
        ):
            await client.send(make_request(f"http://hook.test:{server.port}/a%2Fb?q=%2F+%7E"))
            return server

    server = asyncio.run(scenario())

    assert server.heads[0].startswith("POST /a%2Fb?q=%2F+%7E HTTP/1.1\r\n")
    assert f"\r\nHost: hook.test:{server.port}\r\n" in server.heads[0]


def test_ipv6_is_spoken() -> None:
    reply, server = exchange(answer_ok, host="::1")

    assert reply.status == 200
    assert f"Host: [::1]:{server.port}" in server.heads[0]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_in_any_spelling_is_refused(scheme: str, host: str) -> None:
    with pytest.raises(AddressBlocked):
        send_with(lambda: OutboundClient(AddressPolicy()), make_request(f"{scheme}://{host}:1/"))


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
def test_addresses_in_disguise_are_refused_even_where_loopback_is_listed(host: str) -> None:
    with pytest.raises(AddressBlocked, match="in disguise"):
        send_with(lambda: OutboundClient(LOOPBACK), make_request(f"http://{host}:1/"))


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1%25eth0]", "0.0.0.0", "[::]"],  # noqa: S104 - refused, not bound
)
def test_metadata_and_link_local_are_refused_whatever_is_listed(host: str) -> None:
    policy = AddressPolicy.from_text("0.0.0.0/0,::/0,169.254.0.0/16,fc00::/7,fe80::/10")

    with pytest.raises(AddressBlocked, match="no integration may reach"):
        send_with(lambda: OutboundClient(policy), make_request(f"http://{host}/"))


@pytest.mark.parametrize("answers", [("8.8.8.8", "127.0.0.1"), ("127.0.0.1", "8.8.8.8")])
def test_one_private_answer_among_public_ones_refuses_the_name(answers: tuple[str, ...]) -> None:
    client = lambda: OutboundClient(AddressPolicy(), look_up=answer_names(*answers))  # noqa: E731

    with pytest.raises(AddressBlocked, match=r"a\.test is at a loopback address"):
        send_with(client, make_request("https://a.test/"))


def test_plain_http_to_a_public_host_is_refused_and_says_https() -> None:
    client = lambda: OutboundClient(LOOPBACK, look_up=answer_names("8.8.8.8"))  # noqa: E731

    with pytest.raises(AddressBlocked, match=r"a\.test is only reached over https"):
        send_with(client, make_request("http://a.test/"))


def test_a_name_that_changes_its_answer_is_looked_up_once_for_a_connection() -> None:
    asked: list[str] = []

    def rebind(host: str, port: int) -> list[SocketAddress]:
        asked.append(host)
        return answer_names("127.0.0.1" if len(asked) == 1 else "10.0.0.1")(host, port)

    async def scenario() -> HttpServer:
        async with serve_http(answer_ok) as server:
            url = f"http://hook.test:{server.port}/"
            async with OutboundClient(LOOPBACK, look_up=rebind) as client:
                await client.send(make_request(url))
            async with OutboundClient(LOOPBACK, look_up=rebind) as client:
                with pytest.raises(AddressBlocked, match=r"hook\.test is at a private address"):
                    await client.send(make_request(url))
            return server

    server = asyncio.run(scenario())

    assert (len(asked), len(server.heads)) == (2, 1)


@pytest.mark.parametrize(
    "url",
    [
        *("", "hook", "ftp://a.test/", "https://", "https:///a", "https:a.test/x", "file:///etc/passwd"),
        *("https://a.test:99999/", "https://a.test:x/", "https://[::1/", "https://a.test\\@b.test/"),
        *("https://a.test/\r\nX-Evil: 1", "https://a.test/ x", "https://a.te\nst/", "https://a.test/\x00"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="write it as https://host/path"):
        send_with(lambda: OutboundClient(LOOPBACK), make_request(url))


@pytest.mark.parametrize("user", ["canary:canary@", "canary@", ":canary@", "@"])
def test_credentials_in_the_url_are_refused_and_not_repeated(user: str) -> None:
    with pytest.raises(BadRequest, match="user name or password") as caught:
        send_with(lambda: OutboundClient(LOOPBACK), make_request(f"https://{user}a.test/"))

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("method", ["post", "GET /", "GET\r\n", "", "G" * 21])
def test_what_is_no_method_is_refused(method: str) -> None:
    with pytest.raises(BadRequest, match="method"):
        send_with(lambda: OutboundClient(LOOPBACK), make_request("https://a.test/", method=method))


def test_a_header_that_would_break_its_line_is_not_sent() -> None:
    with pytest.raises(BadRequest, match="'X-A'"):
        exchange(answer_ok, headers={"X-A": "1\r\nX-Evil: 1"})


@pytest.mark.parametrize(
    "host", ["no-such-name.invalid", "%31%32%37.0.0.1", "a..b", "a" * 64 + ".test", "localhost%00.test"]
)
def test_impossible_names_are_not_resolved(host: str) -> None:
    with pytest.raises(NameNotResolved):
        send_with(lambda: OutboundClient(LOOPBACK), make_request(f"https://{host}/", timeout_seconds=20))


@pytest.mark.parametrize("fields", [{"headers": {"Host": "canary"}}, {"method": "canary"}, {}])
def test_neither_errors_nor_prints_show_what_was_sent(fields: dict[str, Any]) -> None:
    request = make_request("https://127.0.0.1/canary?token=canary", **({"headers": {"X": "canary"}} | fields))

    with pytest.raises(Problem) as caught:
        send_with(lambda: OutboundClient(AddressPolicy()), request)

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "canary" not in repr(make_request("https://a.test/canary?canary", body=b"canary"))


def test_a_reply_does_not_print_its_body_or_headers() -> None:
    reply, _ = exchange(answer_with(b"HTTP/1.1 200 OK\r\nX-A: canary\r\nContent-Length: 6\r\n\r\ncanary"))

    assert "canary" not in repr(reply)


@pytest.mark.usefixtures("allow_loopback")
def test_send_once_serves_callers_without_an_event_loop() -> None:
    async def scenario() -> int:
        async with serve_http(answer_ok) as server:
            request = OutboundRequest("GET", server.url)
            return (await asyncio.to_thread(send_once, request)).status

    assert asyncio.run(scenario()) == 200


def test_importing_it_does_not_import_the_http_client() -> None:
    code = "import sys, shared.runtime.outbound; sys.exit('aiohttp' in sys.modules or 'ssl' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
