"""Mail servers that misbehave cost a deadline and a few kilobytes; nothing that is told becomes a command."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Deadline, OutsideError, ProtocolFailed, TimedOut, TlsFailed
from shared.providers.email import smtp
from shared.providers.email.smtp import Server, SmtpConnection
from shared.runtime.outbound import AddressPolicy
from tests.fakes.background import InBackground
from tests.fakes.certificates import PemAuthority
from tests.fakes.smtp import FakeSmtp

pytestmark = pytest.mark.usefixtures("allow_loopback")


@contextlib.contextmanager
def serve(talk: Callable[[Any], None]) -> Iterator[int]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                talk(self.request)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with InBackground(Threads(("127.0.0.1", 0), Handler)) as server:
        yield server.port


def connect(port: int, seconds: float = 1.0) -> SmtpConnection:
    return SmtpConnection(Server("127.0.0.1", port, begins_tls=False, allow_plain=True), Deadline(seconds))


def drip(connection: Any) -> None:
    for _ in range(200):
        connection.sendall(b"2")
        time.sleep(0.05)


def flood(connection: Any) -> None:
    while True:
        connection.sendall(b"220-and more\r\n" * 1000)


def flood_one_line(connection: Any) -> None:
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (drip, TimedOut),
        (lambda _: time.sleep(5), TimedOut),
        (flood, ProtocolFailed),
        (flood_one_line, ProtocolFailed),
        (lambda connection: connection.sendall(b"HTTP/1.1 400 no\r\n"), ProtocolFailed),
        (lambda connection: connection.sendall(b"\x00\xff\r\n"), ProtocolFailed),
        (lambda connection: connection.close(), OutsideError),
        (lambda connection: connection.sendall(b"421 later\r\n"), smtp.SmtpFailed),
    ],
)
def test_a_server_that_misbehaves_costs_its_deadline_at_most(
    talk: Callable[[Any], None], problem: type[OutsideError]
) -> None:
    begun = time.monotonic()

    with serve(talk) as port, pytest.raises(problem), connect(port):
        pass

    assert time.monotonic() - begun < 2.5


def test_what_stands_before_tls_is_not_believed_after_it() -> None:
    def talk(connection: Any) -> None:
        connection.sendall(b"220 hi\r\n")
        connection.recv(100)
        connection.sendall(b"250-x\r\n250 STARTTLS\r\n")
        connection.recv(100)
        connection.sendall(b"220 go\r\n250 injected\r\n")
        time.sleep(1)

    with serve(talk) as port, pytest.raises(ProtocolFailed, match="between STARTTLS and TLS"), connect(port):
        pass


def test_a_line_of_one_full_stop_ends_no_mail() -> None:
    with FakeSmtp() as fake, connect(fake.port, 5) as connection:
        connection.send(
            "a@acme.test", "b@acme.test", b"Subject: x\r\n\r\none\r\n.\r\n..two\r\nRCPT TO:<c@acme.test>\r\n"
        )
        time.sleep(0.1)

    ((recipient, mail),) = fake.mails
    assert recipient == "b@acme.test"
    assert mail.get_content().splitlines() == ["one", ".", "..two", "RCPT TO:<c@acme.test>"]


def test_without_tls_nothing_goes_to_an_address_that_is_not_the_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(connection: Any) -> None:
        connection.sendall(b"220 hi\r\n")
        connection.recv(100)
        connection.sendall(b"250 AUTH PLAIN\r\n")
        heard.append(connection.recv(100))

    heard: list[bytes] = []
    # As where a private name leads to the internet.
    monkeypatch.setattr(AddressPolicy, "find_plain_objection", lambda *_: "is not private")

    with serve(talk) as port, pytest.raises(TlsFailed, match="OUTBOUND_ALLOW"), connect(port):
        pass

    assert heard in ([], [b""])


def test_a_server_that_reads_slowly_over_tls_costs_the_deadline_and_no_more(tmp_path: Path) -> None:
    authority = PemAuthority()
    issued = authority.issue("mail")
    (tmp_path / "pair.pem").write_text(issued.certificate + issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def talk(connection: Any) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        with context.wrap_socket(connection, server_side=True) as safe:
            for said in (b"220 hi\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 go\r\n"):
                safe.sendall(said)
                safe.recv(4_096)
            while safe.recv(2_048):
                time.sleep(0.2)

    server = Server("127.0.0.1", 0, begins_tls=True, ca_certificate=authority.pem)
    with serve(talk) as port:
        begun = time.monotonic()
        with pytest.raises(TimedOut), SmtpConnection(replace(server, port=port), Deadline(3)) as connection:
            connection.send("a@acme.test", "b@acme.test", b"x\r\n" * 5_000_000)
        took = time.monotonic() - begun

    assert took < 15
