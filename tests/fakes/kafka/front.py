"""A front before the mock cluster that speaks TLS and SASL, and says that the brokers are wherever a test wants.

It answers SaslHandshake (17) and SaslAuthenticate (36) itself, adds both to what ApiVersions (18) lists, passes other
frames on, and in the answers to Metadata (3) puts its own address, or another, in the place of the cluster's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.fakes.certificates import Pair

METADATA, HANDSHAKE, API_VERSIONS, AUTHENTICATE = 3, 17, 18, 36
REFUSED, UNSUPPORTED = 58, 33
ITERATIONS = 4_096


@dataclass
class Users:
    """Who may log in: by a password, or by a token."""

    mechanism: str = "PLAIN"
    passwords: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    iterations: int = ITERATIONS


@dataclass
class Front:
    """Use it in a `with`. `advertise` is where it says that every broker is; None: where it is itself."""

    server: str
    pair: Pair | None = None
    users: Users | None = None
    advertise: tuple[str, int] | None = None
    client_authority: str | None = None
    change: Callable[[int, bytes], bytes] = lambda _, answer: answer
    """What becomes of an answer, by the key of what was asked."""
    stand_in: dict[int, Callable[[bytes], bytes | None]] = field(default_factory=dict)
    """What answers questions of a key in the place of the cluster, which gets those that it makes None of."""
    questions: list[tuple[int, bytes]] = field(default_factory=list)
    """What was passed on, by its key."""
    port: int = 0
    connections: int = 0
    logins: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def drop(self) -> None:
        """End every connection."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._make_context())

    async def _close(self) -> None:
        self._listener.close()
        await self._cancel()
        await asyncio.sleep(0.05)

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while self._writers:
            self._writers.pop().transport.abort()

    def _make_context(self) -> ssl.SSLContext | None:
        if self.pair is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pair.pem"
            file.write_text(self.pair.certificate + self.pair.key)
            context.load_cert_chain(file)
        if self.client_authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.client_authority)
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        if task := asyncio.current_task():
            self._tasks.add(task)
        host, port = self.server.rsplit(":", 1)
        behind_reader, behind = await asyncio.open_connection(host, int(port))
        self._writers.append(behind)
        connection = _Connection(self, writer, behind)
        answers = asyncio.create_task(connection.pass_answers(behind_reader))
        with suppress(OSError, EOFError, asyncio.CancelledError):
            await connection.pass_questions(reader)
        answers.cancel()
        behind.close()
        writer.close()


class _Connection:
    def __init__(self, front: Front, writer: asyncio.StreamWriter, behind: asyncio.StreamWriter) -> None:
        self._front = front
        self._writer = writer
        self._behind = behind
        self._keys: dict[bytes, int] = {}
        self._is_in = front.users is None
        self._login: _Login | None = None

    async def pass_questions(self, reader: asyncio.StreamReader) -> None:
        while True:
            frame = await _read_frame(reader)
            key, version = struct.unpack_from(">hh", frame)
            number = frame[4:8]
            if key == HANDSHAKE:
                self._say(number, self._begin_login(frame[_skip_header(frame) :]))
            elif key == AUTHENTICATE:
                self._say(number, self._go_on(frame[_skip_header(frame) :]))
            elif not self._is_in and key != API_VERSIONS:
                return
            elif (said := self._stand_in(key, frame)) is not None:
                self._say(number, said)
            else:
                self._front.questions.append((key, frame))
                self._keys[number] = key if key != API_VERSIONS or version == 0 else -1
                self._behind.write(struct.pack(">i", len(frame)) + frame)

    def _stand_in(self, key: int, frame: bytes) -> bytes | None:
        answer = self._front.stand_in.get(key)
        return answer(frame) if answer else None

    async def pass_answers(self, reader: asyncio.StreamReader) -> None:
        with suppress(EOFError, OSError):
            while True:
                frame = await _read_frame(reader)
                key = self._keys.pop(frame[:4], -1)
                body = frame[4:]
                if key == METADATA:
                    body = self._move(body)
                if key == API_VERSIONS and self._front.users:
                    (count,) = struct.unpack_from(">i", body, 2)
                    added = struct.pack(">hhhhhh", HANDSHAKE, 1, 1, AUTHENTICATE, 0, 0)
                    body = body[:2] + struct.pack(">i", count + 2) + body[6:] + added
                self._say(frame[:4], self._front.change(key, body))

    def _say(self, number: bytes, body: bytes) -> None:
        self._writer.write(struct.pack(">i", len(body) + 4) + number + body)

    def _move(self, body: bytes) -> bytes:
        host, port = self._front.advertise or ("127.0.0.1", self._front.port)
        place = struct.pack(">h", len(host)) + host.encode() + struct.pack(">i", port)
        return re.sub(rb"\x00\x09127\.0\.0\.1....", lambda _: place, body, flags=re.DOTALL)

    def _begin_login(self, body: bytes) -> bytes:
        users = self._front.users or Users()
        wanted = body[2:].decode()
        self._login = _Login(users)
        code = 0 if wanted == users.mechanism else UNSUPPORTED
        return struct.pack(">hi", code, 1) + _write_string(users.mechanism)

    def _go_on(self, body: bytes) -> bytes:
        assert self._login is not None
        said = self._login.answer(body[4:])
        if said is None:
            return struct.pack(">h", REFUSED) + _write_string("Authentication failed") + struct.pack(">i", 0)
        if self._login.is_done:
            self._is_in = True
            self._front.logins += 1
        return struct.pack(">hhi", 0, -1, len(said)) + said


class _Login:
    """One login, step by step."""

    def __init__(self, users: Users) -> None:
        self.is_done = False
        self._users = users
        self._first = ""
        self._password = ""

    def answer(self, said: bytes) -> bytes | None:
        """What is answered; None where the login is refused."""
        if self._users.mechanism == "PLAIN":
            _, user, password = said.decode().split("\0")
            self.is_done = self._users.passwords.get(user) == password
            return b"" if self.is_done else None
        if self._users.mechanism == "OAUTHBEARER":
            token = said.decode().split("\x01")[1].removeprefix("auth=Bearer ")
            self.is_done = token in self._users.tokens
            return b"" if self.is_done else None
        return self._answer_scram(said.decode())

    def _answer_scram(self, said: str) -> bytes | None:
        kind = "sha256" if self._users.mechanism.endswith("256") else "sha512"
        if not self._first:
            bare = said.removeprefix("n,,")
            user, nonce = (part.partition("=")[2] for part in bare.split(","))
            self._password = self._users.passwords.get(user, "")
            salt = base64.b64encode(b"a salt of sixteen").decode()
            self._first = f"r={nonce}server,s={salt},i={self._users.iterations}"
            self._bare = bare
            return self._first.encode()
        without_proof, _, proof = said.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(
            kind, self._password.encode(), b"a salt of sixteen", self._users.iterations
        )
        client = hmac.digest(salted, b"Client Key", kind)
        message = f"{self._bare},{self._first},{without_proof}".encode()
        signature = hmac.digest(hashlib.new(kind, client).digest(), message, kind)
        expected = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        self.is_done = bool(self._password) and hmac.compare_digest(base64.b64decode(proof), expected)
        verifier = hmac.digest(hmac.digest(salted, b"Server Key", kind), message, kind)
        return b"v=" + base64.b64encode(verifier) if self.is_done else None


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _skip_header(frame: bytes) -> int:
    """Where the body of a question begins: behind key, version, number and the client's name."""
    (length,) = struct.unpack_from(">h", frame, 8)
    return 10 + max(int(length), 0)


def _write_string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
