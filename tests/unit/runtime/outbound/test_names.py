"""Names become checked addresses within a real deadline, and sockets go to those addresses only."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from shared.runtime.errors import AddressBlocked, ConnectionRefused, NameNotResolved, TimedOut
from shared.runtime.outbound import AddressPolicy, SocketAddress, connect_checked, resolve_checked
from tests.fakes.http_exchange import LOOPBACK, answer_names, make_address

PUBLIC_ONLY = AddressPolicy()


def refuse_names(host: str, port: int) -> list[SocketAddress]:
    raise socket.gaierror(socket.EAI_AGAIN, f"{host}:{port}")


def hang_names(host: str, port: int) -> list[SocketAddress]:
    time.sleep(20)
    return answer_names("127.0.0.1")(host, port)


def find_closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


def test_a_public_name_resolves_to_its_addresses() -> None:
    addresses = resolve_checked(
        "a.test", 8883, 5, policy=PUBLIC_ONLY, look_up=answer_names("8.8.8.8", "2606:4700::1")
    )

    assert addresses == [make_address("8.8.8.8", 8883), make_address("2606:4700::1", 8883)]


@pytest.mark.parametrize("answers", [("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "8.8.8.8"), ("8.8.8.8", "::1")])
def test_one_private_answer_among_public_ones_refuses_the_name(answers: tuple[str, ...]) -> None:
    with pytest.raises(AddressBlocked, match=r"a\.test is at a (private|loopback) address"):
        resolve_checked("a.test", 8883, 5, policy=PUBLIC_ONLY, look_up=answer_names(*answers))


def test_a_look_up_that_hangs_ends_at_the_deadline() -> None:
    started = time.monotonic()

    with pytest.raises(TimedOut, match=r"a\.test was not resolved within 0\.1 seconds"):
        resolve_checked("a.test", 8883, 0.1, policy=LOOPBACK, look_up=hang_names)

    assert time.monotonic() - started < 10


def test_a_look_up_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import time
from shared.runtime.errors import TimedOut
from shared.runtime.outbound import resolve_checked
try:
    resolve_checked("a.test", 1, 0.1, look_up=lambda host, port: time.sleep(60))
except TimedOut:
    print("timed out")
"""

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert ended.stdout == "timed out\n"


def test_a_name_without_addresses_is_not_resolved() -> None:
    with pytest.raises(NameNotResolved, match="has no address"):
        resolve_checked("a.test", 1883, 5, policy=LOOPBACK, look_up=answer_names())


def test_a_name_server_that_does_not_answer_is_told_from_a_wrong_name() -> None:
    with pytest.raises(NameNotResolved, match="No name server answered"):
        resolve_checked("a.test", 1883, 5, policy=LOOPBACK, look_up=refuse_names)


@pytest.mark.parametrize("host", ["no-such-name.invalid", "", "a..b", "a" * 64 + ".test", "a\x00b"])
def test_impossible_names_are_not_resolved(host: str) -> None:
    with pytest.raises((NameNotResolved, AddressBlocked)):
        resolve_checked(host, 1883, 20, policy=PUBLIC_ONLY)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "::1", "localhost"]
)
def test_loopback_in_any_spelling_is_refused(host: str) -> None:
    with pytest.raises(AddressBlocked, match="loopback"):
        resolve_checked(host, 1883, 5, policy=PUBLIC_ONLY)


def test_a_socket_is_connected_to_the_checked_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with connect_checked(
            "localhost", port, 5, policy=LOOPBACK, look_up=answer_names("127.0.0.1")
        ) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
            assert connection.gettimeout() == 5


def test_an_ipv6_socket_is_connected() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]

        with connect_checked("::1", port, 5, policy=LOOPBACK) as connection:
            assert connection.getpeername()[:2] == ("::1", port)


def test_the_next_address_is_tried_when_one_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        look_up = answer_names("127.0.0.9", "127.0.0.1")

        with connect_checked("a.test", port, 5, policy=LOOPBACK, look_up=look_up) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


def test_a_refused_connection_names_the_port_and_the_remedy() -> None:
    port = find_closed_port()

    with pytest.raises(
        ConnectionRefused, match=rf"127\.0\.0\.1 refused the connection on port {port}; check"
    ):
        connect_checked("127.0.0.1", port, 5, policy=LOOPBACK)


def test_the_name_is_looked_up_once_even_if_its_answer_would_change() -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def rebind(host: str, port: int) -> list[SocketAddress]:
            return answer_names(*next(answers))(host, port)

        connect_checked("a.test", port, 5, policy=LOOPBACK, look_up=rebind).close()

    assert next(answers) == ["10.0.0.1"]
