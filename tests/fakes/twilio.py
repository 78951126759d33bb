"""Twilio on a real socket: forms in, JSON back, refusals by number, answers that are lost, callbacks signed by it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.plain import PLAIN

SID = f"AC{'0' * 31}1"
TOKEN = "twilio-fake-auth-token-0123456789"
NUMBER = "+15005550006"

Made = dict[str, Any]


class FakeTwilio(HttpReceiver):
    """`messages` and `calls` are what was made, as they are listed; each keeps its whole form under `form`.

    `refusals` are by the number that is written to: status and code. `delay` is asked, once something is made, how long
    its answer takes.
    """

    def __init__(self) -> None:
        self.messages: list[Made] = []
        self.calls: list[Made] = []
        self.refusals: dict[str, tuple[int, int]] = {}
        self.delay: Callable[[], float] = lambda: 0.0
        self.status = "active"
        self.capabilities = {"sms": True, "voice": True}
        self.token = TOKEN
        self.lookups = 0
        self._lock = threading.Lock()
        super().__init__(self._take)

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    def texts(self, to: str) -> list[str]:
        """The messages to a number, in order."""
        return [made["body"] for made in self.messages if made["to"] == to]

    def call_back(self, url: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """POST `fields` to `url`, signed as Twilio does."""
        fields = {"AccountSid": SID, "ApiVersion": "2010-04-01", **fields}
        signed = {"X-Twilio-Signature": sign(self.token, url, fields)} | headers
        return httpx.post(url, data=fields, headers=signed, timeout=30, verify=PLAIN)

    def _take(self, request: Received) -> Answer:
        pair = base64.b64encode(f"{SID}:{self.token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return _refuse(401, 20003)
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(f"/2010-04-01/Accounts/{SID}").removesuffix(".json")
        if request.method == "POST":
            return self._make(path, parse_qs(request.body.decode(), keep_blank_values=True))
        if path in {"/Messages", "/Calls"}:
            return self._list(path[1:].lower(), query)
        found = [{"capabilities": self.capabilities}] if query.get("PhoneNumber") == NUMBER else []
        known = {
            "": {"friendly_name": "Acme", "status": self.status, "type": "Full"},
            "/IncomingPhoneNumbers": {"incoming_phone_numbers": found},
            "/Balance": {"balance": "12.34", "currency": "USD"},
        }
        return _say(known[path]) if path in known else _refuse(404, 20404)

    def _make(self, path: str, form: dict[str, list[str]]) -> Answer:
        to = form["To"][0]
        if refusal := self.refusals.get(to):
            return _refuse(*refusal)
        kind, kept = ("CA", self.calls) if path == "/Calls" else ("SM", self.messages)
        made = {
            "sid": f"{kind}{uuid.uuid4().hex}",
            "status": "queued",
            "direction": "outbound-api",
            "to": to,
            "from": form.get("From", [None])[0],
            "body": form.get("Body", [""])[0],
            "date_created": formatdate(usegmt=True),
            "form": form,
        }
        with self._lock:
            kept.append(made)
        time.sleep(self.delay())
        return _say({name: value for name, value in made.items() if name != "form"}, 201)

    def _list(self, name: str, query: dict[str, str]) -> Answer:
        kept = self.calls if name == "calls" else self.messages
        with self._lock:
            self.lookups += 1
            found = [
                {key: value for key, value in made.items() if key != "form"}
                for made in reversed(kept)
                if made["to"] == query["To"] and made["from"] in (query.get("From"), made["from"])
            ]
        return _say({name: found[: int(query["PageSize"])], "next_page_uri": None})


def sign(secret: str, url: str, fields: dict[str, str], algorithm: str = "sha1") -> str:
    """As Twilio's documents say: the address, then each field's name and value in the order of names."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(
        hmac.new(secret.encode(), text.encode(), getattr(hashlib, algorithm)).digest()
    ).decode()


def encode(fields: dict[str, str]) -> bytes:
    """A form's body."""
    return urlencode(fields).encode()


def _say(document: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _refuse(status: int, code: int) -> Answer:
    words = "The 'To' number +15550000000 is not valid: secret words."
    link = f"https://www.twilio.com/docs/errors/{code}"
    return _say({"code": code, "message": words, "more_info": link, "status": status}, status)
