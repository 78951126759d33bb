"""A signed-in user of a local stack who calls over one kept connection, as a browser does."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson

from scripts.local.seed import User
from scripts.local.stack import Report


class CallError(RuntimeError):
    """A call was not answered with 2xx."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply's JSON, and the seconds it took to come."""

    body: Any
    seconds: float


class Caller:
    """Calls with the user's session token; `url` is the stack's, or that of a function by itself."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        address = urlsplit(url)
        self.headers = headers
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; CallError unless it is answered with 2xx."""
        content = None if body is None else orjson.dumps(body)
        begun = time.perf_counter()
        self._connection.request(method, path, content, {**self.headers, **headers})
        reply = self._connection.getresponse()
        text = reply.read()
        seconds = time.perf_counter() - begun
        if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            raise CallError(f"{method} {path} answered {reply.status}: {text.decode()[:500]}")
        return Answer(orjson.loads(text) if text else None, seconds)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def sign_in(report: Report, user: User) -> Caller:
    """A caller with a new session of that user."""
    anonymous = Caller(report.url, {"apikey": report.anon_key, "Content-Type": "application/json"})
    credentials = {"email": user.email, "password": user.password}
    session = anonymous.call("POST", "/auth/v1/token?grant_type=password", credentials).body
    anonymous.headers["Authorization"] = f"Bearer {session['access_token']}"
    return anonymous
