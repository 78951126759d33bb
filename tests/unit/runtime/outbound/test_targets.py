"""A URL goes into the request line as it was given, its host becomes what is connected to."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.errors import AddressBlocked, BadRequest
from shared.runtime.outbound import AddressPolicy, OutboundClient, SocketAddress
from shared.runtime.outbound.targets import parse_url
from tests.fakes.http_exchange import LOOPBACK, answer_names, make_request, send_with
from tests.fakes.http_server import answer_ok, serve_http

AS_GIVEN = [
    "/über?sig=a%2Bb%2Fc%3D",
    "/hook?sig=a%2Bb%2Fc%3D&x=a+b%20c",
    "/a%2fb/c%2Fd",
    "/a%252Fb",
    "/~user/%7Euser",
    "/a;b=1;c?d;e",
    "/hook?",
    "/hook?&&a==b&",
    "//a///b//",
    "/a/../b/./c",
    "/",
    "/?q",
    "/a?b?c",
    "/%zz/%/100%",
    "/a:b@c!$&'()*,=",
    '/[a]|{b}^`"<c>\\d',
    "/%E4%F6%FC?latin=%e4",
    "/?u=https://b.test/?a=b&c=d",
    "/?X-Amz-Signature=ab%2Bcd&X-Amz-Credential=AKIA%2F20260101%2Feu-central-1%2Fs3%2Faws4_request",
    "/triggers/manual/paths/invoke?api-version=2016-10-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a-b_c~d",
]

HOSTS = {
    "bücher.test": "xn--bcher-kva.test",
    "BÜCHER.test": "xn--bcher-kva.test",
    "bu\u0308cher.test": "xn--bcher-kva.test",
    "xn--bcher-kva.test": "xn--bcher-kva.test",
    "faß.test": "xn--fa-hia.test",
    "例え.テスト": "xn--r8jz45g.xn--zckzah",
    "bücher。test": "xn--bcher-kva.test",
    "a_b.test": "a_b.test",
    "a.test.": "a.test.",
}


def write(path: str) -> str:
    return quote(path, safe="".join(map(chr, range(0x21, 0x7F))))


def list_targets(paths: list[str]) -> list[str]:
    async def scenario() -> list[str]:
        async with serve_http(answer_ok) as server, OutboundClient(LOOPBACK) as client:
            for path in paths:
                await client.send(make_request(f"http://127.0.0.1:{server.port}{path}"))
            return [head.partition(" HTTP/1.1\r\n")[0].partition(" ")[2] for head in server.heads]

    return asyncio.run(scenario())


@pytest.mark.parametrize("path", AS_GIVEN)
def test_path_and_query_are_sent_as_they_were_given(path: str) -> None:
    assert list_targets([path]) == [write(path)]


def test_what_is_not_ascii_is_percent_encoded_once_as_utf_8() -> None:
    sent = list_targets(["/über?sig=a%2Bb%2Fc%3D", "/%C3%BCber", "/?q=日本&e=%E6%97%A5", "/🚪"])

    assert sent == [
        "/%C3%BCber?sig=a%2Bb%2Fc%3D",
        "/%C3%BCber",
        "/?q=%E6%97%A5%E6%9C%AC&e=%E6%97%A5",
        "/%F0%9F%9A%AA",
    ]


@pytest.mark.parametrize(
    ("rest", "sent"), [("", "/"), ("?a=b", "/?a=b"), ("#part", "/"), ("/a?b#c?d", "/a?b")]
)
def test_an_empty_path_is_the_root_and_a_fragment_stays_here(rest: str, sent: str) -> None:
    assert list_targets([rest]) == [sent]


@given(
    path=st.text(st.characters(min_codepoint=0x21, blacklist_characters="#\x7f", blacklist_categories=["Cs"]))
)
@settings(max_examples=300)
def test_nothing_but_what_is_not_ascii_is_ever_rewritten(path: str) -> None:
    sent = parse_url(f"https://a.test/{path}").path

    assert sent == write(f"/{path}")
    assert unquote(sent) == unquote(f"/{path}")


@pytest.mark.parametrize(("written", "name"), HOSTS.items())
def test_an_international_host_is_looked_up_and_named_in_its_ascii_form(written: str, name: str) -> None:
    asked: list[str] = []

    async def scenario() -> str:
        async with serve_http(answer_ok) as server:

            def look_up(host: str, port: int) -> list[SocketAddress]:
                asked.append(host)
                return answer_names("127.0.0.1")(host, port)

            async with OutboundClient(LOOPBACK, look_up=look_up) as client:
                await client.send(make_request(f"http://{written}:{server.port}/ü"))
            return server.heads[0]

    head = asyncio.run(scenario())

    assert asked == [name]
    assert head.startswith("POST /%C3%BC HTTP/1.1\r\n")
    assert f"\r\nHost: {name.rstrip('.')}:" in head


@pytest.mark.parametrize(
    "host",
    [
        "a\u200bb.test",
        "a\u00adb.test",
        "\u2100.test",
        "ü" * 60 + ".test",
        "\udc80.test",
        "a.test:\uff180x",
        "ü@b.test",
    ],
)
def test_what_only_looks_like_a_host_is_refused(host: str) -> None:
    with pytest.raises(BadRequest):
        parse_url(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "\uff11\uff12\uff17.0.0.1",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "\uff4cocalhost",
            "LOCALHOST",
            "127.0.0.1.",
        ),
        *("[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::]"),
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.1", "017700000001", "0", "00.0.0.0"),
        *(
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ),
        *(
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::1%25lo]",
            "[::1%251]",
            "[fd00::1%251]",
            "[fd00:ec2::254%251]",
        ),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "168.63.129.16", "224.0.0.1", "255.255.255.255"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_inner_address_is_refused_in_whatever_spelling(scheme: str, host: str) -> None:
    with pytest.raises(AddressBlocked):
        send_with(lambda: OutboundClient(AddressPolicy()), make_request(f"{scheme}://{host}:1/"))


@pytest.mark.parametrize(
    "host", ["[fd00:ec2::254%251]", "[fd00:ec2::254%1]", "[fd00::1%251]", "[::1%251]", "[::1%lo]"]
)
def test_an_address_with_a_zone_is_refused_whatever_is_listed(host: str) -> None:
    policy = AddressPolicy.from_text("::1/128,fc00::/7,127.0.0.0/8")

    with pytest.raises(AddressBlocked, match="no integration may reach"):
        send_with(lambda: OutboundClient(policy), make_request(f"http://{host}:1/"))
