"""What Particle's webhooks push: every form of a body, and the rating of a host name that answers with errors.

A delivery is tried three times: at once, after 30 s, after 1 min; then it is dropped. Pauses are asked of `sleep`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.plain import PLAIN

PATIENCE_SECONDS = 20.0
AGENT = {"User-Agent": "ParticleBot/1.1 (https://docs.particle.io/webhooks)"}
JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
Event = dict[str, Any]
Body = tuple[bytes, dict[str, str]]


def make_event(
    name: str = "data/temp",
    data: str | None = '{"t":21.5}',
    coreid: str = "0123456789abcdef01234567",
    **more: Any,
) -> Event:
    """An event as Particle has it inside."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "name": name,
        "data": data,
        "ttl": 60,
        "published_at": now,
        "coreid": coreid,
        "userid": "",
        "version": 3,
        "public": False,
        "productID": 30301,
    } | more


def by_template(event: Event, event_id: str | None = None) -> Body:
    """The template that docs/particle.md gives."""
    whole = base64.b64encode(json.dumps(event).encode()).decode()
    told = {
        "id": event_id or str(uuid.uuid4()),
        "product_id": str(event["productID"]),
        "fw_version": str(event["version"]),
        "event_b64": whole,
    }
    return json.dumps(told).encode(), JSON


def as_whole(event: Event, event_id: str | None = None) -> Body:
    """{{{PARTICLE_EVENT_JSON}}} as the body."""
    return json.dumps(event | ({"id": event_id} if event_id else {})).encode(), JSON


def by_default(event: Event, _event_id: str | None = None) -> Body:
    """The default JSON."""
    return json.dumps(pick(event)).encode(), JSON


def as_form(event: Event, _event_id: str | None = None) -> Body:
    """What a webhook with only an event and an address sends."""
    return urlencode(pick(event)).encode(), FORM


def by_own_body(event: Event, event_id: str | None = None) -> Body:
    """A body of somebody's own, which has no content type."""
    told = {"event": event["name"], **{name: event[name] for name in ("data", "coreid", "published_at")}}
    return json.dumps(told | ({"id": event_id} if event_id else {})).encode(), {}


def by_bare_mustache(event: Event) -> Body:
    """A template with the value as text between quotes: where that has quotes itself it is no JSON."""
    return (
        f'{{"event":"{event["name"]}","data":"{event["data"]}","coreid":"{event["coreid"]}"}}'.encode(),
        JSON,
    )


def pick(event: Event) -> Event:
    """The four fields of what Particle sends by itself."""
    return {"event": event["name"]} | {name: event[name] for name in ("data", "coreid", "published_at")}


FORMS: dict[str, Callable[..., Body]] = {
    "template": by_template,
    "whole": as_whole,
    "default": by_default,
    "form": as_form,
    "own": by_own_body,
}


@dataclass
class Sender:
    """One webhook, and how its host name is rated: with more errors than successes, deliveries are skipped."""

    url: str
    headers: dict[str, str]
    sleep: Callable[[float], None] = lambda _: None
    replies: list[httpx.Response] = field(default_factory=list)
    errors: int = 0
    successes: int = 0
    dropped: list[Body] = field(default_factory=list)

    def post(self, body: Body) -> int:
        """One try; 0 where nothing was answered in time."""
        content, headers = body
        try:
            reply = httpx.post(
                self.url,
                content=content,
                headers=AGENT | self.headers | headers,
                timeout=PATIENCE_SECONDS,
                verify=PLAIN,
            )
        except httpx.TransportError:
            self.errors += 1
            return 0
        self.replies.append(reply)
        if reply.is_success:
            self.successes += 1
        else:
            self.errors += 1
        return reply.status_code

    @property
    def is_sleeping(self) -> bool:
        """Whether Particle says "Sleeping, too many errors"."""
        return self.errors > self.successes

    def deliver(self, body: Body) -> bool:
        """As Particle does, until it is taken or dropped."""
        for pause in (0.0, 30.0, 60.0):
            self.sleep(pause)
            if 200 <= self.post(body) < 300:
                return True
        self.dropped.append(body)
        return False
