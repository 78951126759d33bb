"""Slack on a real socket: incoming webhooks, and of its Web API what a bot needs; it takes posts and hangs, if told."""

from __future__ import annotations

import json
import threading
import time
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.http_receiver import Answer, HttpReceiver, Received

TOKEN = "xoxb-fake-token-of-the-tests"
HOOK = "/services/T0/B0/secretpathofthehook"


class FakeSlack(HttpReceiver):
    """`posts` are those of the API by (channel, ts), `hooked` what came to the webhook.

    `errors` are answered in place of taking what goes to a channel; after `hang` posts that were taken it does not
    answer for `seconds`. Without `can_read` nobody may read channels.
    """

    def __init__(self) -> None:
        self.posts: dict[tuple[str, str], dict[str, Any]] = {}
        self.hooked: list[dict[str, Any]] = []
        self.updates = 0
        self.errors: dict[str, str] = {}
        self.status = 200
        self.hang, self.seconds = 0, 0.0
        self.can_read = True
        self._stamps = count(1)
        self._lock = threading.Lock()
        super().__init__(self._take)

    @property
    def base_url(self) -> str:
        """Where the Web API is."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def webhook_url(self) -> str:
        """The secret address."""
        return f"http://127.0.0.1:{self.port}{HOOK}"

    def texts(self, channel: str) -> list[str]:
        """What stands in a channel, in order."""
        return [post["text"] for (place, _), post in self.posts.items() if place == channel]

    def _take(self, request: Received) -> Answer:
        parts = urlsplit(request.path)
        if parts.path == HOOK:
            return self._hook(request)
        if self.status != 200:
            return Answer(self.status, headers={"Retry-After": "1"})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _say(ok=False, error="invalid_auth")
        known = {
            "auth.test": lambda _: _say(ok=True, user="alerts", team="Acme"),
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._list,
        }
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return known[parts.path.removeprefix("/api/")](json.loads(request.body) if request.body else query)

    def _hook(self, request: Received) -> Answer:
        if self.status != 200:
            return Answer(self.status, b"no_service")
        with self._lock:
            self.hooked.append(json.loads(request.body))
        return Answer()

    def _post(self, body: dict[str, Any]) -> Answer:
        if error := self.errors.get(body["channel"]):
            return _say(ok=False, error=error)
        with self._lock:
            stamp = f"{time.time():.4f}{next(self._stamps):02d}"
            self.posts[body["channel"], stamp] = body
            hangs, self.hang = self.hang > 0, max(0, self.hang - 1)
        if hangs:
            time.sleep(self.seconds)
        return _say(ok=True, channel=body["channel"], ts=stamp)

    def _update(self, body: dict[str, Any]) -> Answer:
        place = (body["channel"], body["ts"])
        if place not in self.posts:
            return _say(ok=False, error="message_not_found")
        with self._lock:
            self.posts[place] |= {"text": body["text"], "blocks": body["blocks"]}
            self.updates += 1
        return _say(ok=True, channel=place[0], ts=place[1])

    def _list(self, query: dict[str, str]) -> Answer:
        if not self.can_read:
            return _say(ok=False, error="missing_scope")
        found = [
            {"ts": stamp, "text": post["text"], "metadata": post.get("metadata")}
            for (channel, stamp), post in self.posts.items()
            if channel == query["channel"] and float(stamp) >= float(query["oldest"])
        ]
        return _say(ok=True, messages=found[::-1])


def _say(**said: Any) -> Answer:
    return Answer(body=json.dumps(said).encode(), headers={"Content-Type": "application/json"})
