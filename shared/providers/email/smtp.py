"""SMTP (RFC 5321), the sending half: one connection to the checked address, one deadline, replies to a limit."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TypeVar

from shared.provider import (
    AccountRefused,
    Deadline,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    RecipientRefused,
    TimedOut,
    TlsFailed,
    connect_checked,
    load_policy,
    note_certificate,
)

REPLY_BYTES = 65_536
"""Of all that a server says in one connection."""

PART_BYTES = 16_384
"""What TLS sends at once."""

NAME = "device-integrations"
TEMPORARY = 4
Said = TypeVar("Said")

_REPLY = re.compile(rb"([2-5][0-9][0-9])([ -])(.*)")


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed to; `begins_tls` where TLS comes with the connection, not by STARTTLS."""

    host: str
    port: int
    begins_tls: bool
    allow_plain: bool = False
    ca_certificate: str | None = None
    username: str | None = None
    password: str = field(default="", repr=False)


class SmtpFailed(ProviderRefused):
    """A reply that is no consent; its code is for whoever knows what was asked."""

    def __init__(self, code: int, what: str) -> None:
        answered = 503 if code // 100 == TEMPORARY else 400
        super().__init__(f"The mail server refused {what} ({code}).", answered=answered)
        self.reply_code = code


class SmtpConnection:
    """Signed in once it is entered. Errors: TimedOut, TlsFailed, AccountRefused, SmtpFailed, other OutsideErrors."""

    def __init__(self, server: Server, deadline: Deadline) -> None:
        self._server, self._deadline = server, deadline
        self._received, self._left = b"", REPLY_BYTES
        self._socket: socket.socket | None = None
        self.extensions: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Hand over one mail; RecipientRefused where the server does not take it for this recipient."""
        self._ask(f"MAIL FROM:<{sender}>", "the sender", 250)
        try:
            self._ask(f"RCPT TO:<{recipient}>", "the recipient", 250, 251)
        except SmtpFailed as failed:
            if failed.reply_code // 100 == TEMPORARY:
                raise
            words = f"The mail server takes no mail for the address ({failed.reply_code}): see whether it is right."
            raise RecipientRefused(words) from None
        self._ask("DATA", "the mail", 354)
        lines = [b"." + line if line.startswith(b".") else line for line in message.splitlines()]
        self._write(b"\r\n".join(lines) + b"\r\n.\r\n")
        self._expect("the mail", 250)

    def _open(self) -> None:
        server = self._server
        self._socket = connect_checked(server.host, server.port, self._seconds())
        if server.begins_tls:
            self._begin_tls()
        self._expect("the connection", 220)
        self._greet()
        if not server.begins_tls and "STARTTLS" in self.extensions:
            self._ask("STARTTLS", "TLS", 220)
            if self._received:
                raise ProtocolFailed("The mail server said something between STARTTLS and TLS.")
            self._begin_tls()
            self._greet()
        elif not server.begins_tls:
            self._stay_plain()
        if server.username is not None:
            self._sign_in(server.username, server.password)

    def _stay_plain(self) -> None:
        """TlsFailed unless mail may go without TLS, and where the operator says that the network is private."""
        if not self._server.allow_plain:
            raise TlsFailed("The mail server has no STARTTLS: use its smtps:// port, or another server.")
        assert self._socket is not None  # noqa: S101 - it was opened
        if load_policy().find_plain_objection(self._socket.getpeername()[0]):
            raise TlsFailed(
                "The mail server has no STARTTLS, and is at no address that OUTBOUND_ALLOW lists."
            )

    def _begin_tls(self) -> None:
        context = make_context(self._server.ca_certificate)
        assert self._socket is not None  # noqa: S101 - it was opened
        try:
            self._socket.settimeout(self._seconds())
            secured = self._socket = context.wrap_socket(self._socket, server_hostname=self._server.host)
        except TimeoutError:
            raise TimedOut("The mail server did not finish the TLS handshake in time.") from None
        except ssl.SSLCertVerificationError as error:
            raise TlsFailed(
                f"The certificate of the mail server is refused: {error.verify_message}."
            ) from None
        except (ssl.SSLError, OSError):
            raise TlsFailed("The TLS handshake with the mail server failed; is that its TLS port?") from None
        if shown := secured.getpeercert():
            begins, ends = (ssl.cert_time_to_seconds(str(shown[each])) for each in ("notBefore", "notAfter"))
            note_certificate((begins, ends))

    def _greet(self) -> None:
        lines = self._ask(f"EHLO {NAME}", "the greeting", 250)
        words = [line.decode("ascii", "replace").partition(" ") for line in lines[1:]]
        self.extensions = {name.upper(): rest.upper() for name, _, rest in words}

    def _sign_in(self, username: str, password: str) -> None:
        ways = self.extensions.get("AUTH", "").split()
        try:
            if "PLAIN" in ways or not ways:
                self._ask(
                    f"AUTH PLAIN {_encode(f'{chr(0)}{username}{chr(0)}{password}')}", "the password", 235
                )
            elif "LOGIN" in ways:
                self._ask("AUTH LOGIN", "the password", 334)
                self._ask(_encode(username), "the password", 334)
                self._ask(_encode(password), "the password", 235)
            else:
                raise AccountRefused(
                    "The mail server has no way of signing in that is known here (PLAIN, LOGIN)."
                )
        except SmtpFailed as failed:
            if failed.reply_code // 100 == TEMPORARY:
                raise
            raise AccountRefused(
                f"The mail server refused the user name or password ({failed.reply_code}): enter them again."
            ) from None

    def _ask(self, line: str, what: str, *wanted: int) -> list[bytes]:
        self._write(line.encode("ascii", "replace") + b"\r\n")
        return self._expect(what, *wanted)

    def _expect(self, what: str, *wanted: int) -> list[bytes]:
        lines: list[bytes] = []
        while True:
            found = _REPLY.fullmatch(self._read_line())
            if not found:
                raise ProtocolFailed("That is no mail server: its answer is none of SMTP's.")
            lines.append(found[3])
            if found[2] == b" ":
                break
        if int(found[1]) not in wanted:
            raise SmtpFailed(int(found[1]), what)
        return lines

    def _read_line(self) -> bytes:
        while b"\n" not in self._received:
            part = self._run(lambda connection: connection.recv(4_096))
            self._left -= len(part)
            if not part or self._left < 0:
                raise ProtocolFailed(
                    "The mail server hung up." if not part else "The mail server says too much."
                )
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        return line.rstrip(b"\r")

    def _write(self, content: bytes) -> None:
        # Part by part: over TLS the time for all of it would be that of each record.
        for begin in range(0, len(content), PART_BYTES):
            self._run(partial(_send_part, content[begin : begin + PART_BYTES]))

    def _run(self, step: Callable[[socket.socket], Said]) -> Said:
        assert self._socket is not None  # noqa: S101 - it was opened
        try:
            self._socket.settimeout(self._seconds())
            return step(self._socket)
        except TimeoutError:
            raise TimedOut("The mail server did not answer in time.") from None
        except OSError:
            raise OutsideError("The connection to the mail server broke off.") from None

    def _seconds(self) -> float:
        if self._deadline.expired:
            raise TimedOut("The mail server did not answer in time.")
        return self._deadline.remaining()


def _send_part(part: bytes, connection: socket.socket) -> None:
    connection.sendall(part)


def make_context(ca_certificate: str | None) -> ssl.SSLContext:
    """TLS that verifies, against the authority given or the usual ones; ValueError where it is no certificate."""
    try:
        return ssl.create_default_context(cadata=ca_certificate)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError("expected a certificate in PEM: -----BEGIN CERTIFICATE----- and so on") from None


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
