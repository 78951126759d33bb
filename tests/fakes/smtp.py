"""A mail server on a real socket: EHLO, STARTTLS or TLS at once, AUTH, refusals by address, answers that are lost."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
import threading
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.fakes.background import InBackground

USER, PASSWORD = "alerts@acme.test", "fake-smtp-password"


class FakeSmtp(InBackground):
    """`mails` are (recipient, mail) as they were taken. `refusals` are replies to RCPT by address.

    `ways` are those of AUTH that it offers. After `hang` mails that were taken it does not answer for `seconds`.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, at_once: bool = False) -> None:
        self.tls, self.at_once = tls, at_once
        self.mails: list[tuple[str, EmailMessage]] = []
        self.refusals: dict[str, str] = {}
        self.ways = "PLAIN LOGIN"
        self.hang, self.seconds = 0, 0.0
        self.heard: list[str] = []
        self.lock = threading.Lock()
        super().__init__(_Server(("127.0.0.1", 0), _make_handler(self)))

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to an address, in order."""
        return [mail for recipient, mail in self.mails if recipient == address]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Talk:
    """One connection."""

    def __init__(self, fake: FakeSmtp, connection: Any) -> None:
        self.fake, self.connection = fake, connection
        self.is_safe = self.is_known = False
        self.recipient = ""
        self.file: Any = None

    def _begin_tls(self) -> None:
        assert self.fake.tls is not None
        self.connection = self.fake.tls.wrap_socket(self.connection, server_side=True)
        self.is_safe = True

    def say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())

    def close(self) -> None:
        if self.file:
            self.file.close()
        self.connection.close()

    def run(self) -> None:
        if self.fake.at_once:
            self._begin_tls()
        self.file = self.connection.makefile("rb")
        self.say("220 mail.acme.test ESMTP")
        while line := self.file.readline():
            words = line.decode().strip()
            self.fake.heard.append(words)
            verb = words.split(" ", 1)[0].upper()
            if verb == "QUIT":
                return
            getattr(self, f"do_{verb.lower()}", self.refuse)(words)

    def refuse(self, _: str) -> None:
        self.say("502 5.5.1 not here")

    def do_ehlo(self, _: str) -> None:
        lines = ["mail.acme.test", "8BITMIME"]
        lines += ["STARTTLS"] if self.fake.tls and not self.is_safe else []
        lines += [f"AUTH {self.fake.ways}"] if self.is_safe else []
        for line in lines[:-1]:
            self.say(f"250-{line}")
        self.say(f"250 {lines[-1]}")

    def do_starttls(self, _: str) -> None:
        self.say("220 go on")
        self.file.close()
        self._begin_tls()
        self.file = self.connection.makefile("rb")

    def do_auth(self, words: str) -> None:
        if words.startswith("AUTH PLAIN "):
            given = base64.b64decode(words.split()[2]).decode().split("\0")[1:]
        else:
            given = []
            for prompt in ("Username:", "Password:"):
                self.say(f"334 {base64.b64encode(prompt.encode()).decode()}")
                given.append(base64.b64decode(self.file.readline()).decode())
        self.is_known = given == [USER, PASSWORD]
        self.say("235 2.7.0 welcome" if self.is_known else "535 5.7.8 no")

    def do_mail(self, _: str) -> None:
        self.say("250 2.1.0 ok" if self.is_known or not self.fake.tls else "530 5.7.0 sign in first")

    def do_rcpt(self, words: str) -> None:
        self.recipient = words.partition("<")[2].partition(">")[0]
        self.say(self.fake.refusals.get(self.recipient, "250 2.1.5 ok"))

    def do_data(self, _: str) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        with self.fake.lock:
            self.fake.mails.append((self.recipient, mail))
            hangs, self.fake.hang = self.fake.hang > 0, max(0, self.fake.hang - 1)
        time.sleep(self.fake.seconds if hangs else 0)
        self.say("250 2.0.0 taken")


def _make_handler(fake: FakeSmtp) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            talk = _Talk(fake, self.request)
            with contextlib.suppress(OSError):
                talk.run()
            with contextlib.suppress(OSError):
                talk.close()

    return Handler
