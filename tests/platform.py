"""What tests do with the API as a user of it would: over HTTP, with a session token."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from psycopg.types.json import Jsonb

from scripts.local.seed import User
from tests.plain import PLAIN
from tests.stack import Stack


@dataclass(frozen=True)
class Platform:
    """One user's view of a running stack."""

    stack: Stack
    user: User

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Any call to the functions, with the user's session."""
        headers = {"Authorization": f"Bearer {self.stack.token(self.user)}", "apikey": self.stack.anon_key}
        headers |= request.pop("headers", {})
        return httpx.request(
            method,
            f"{self.stack.url}/functions/v1{path}",
            headers=headers,
            timeout=60,
            verify=PLAIN,
            **request,
        )

    def create(self, integration_type: str, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """POST /integrations in the user's organization; the integration it answers with."""
        body = {
            "organization_id": self.user.organization_id,
            "integration_type": integration_type,
            "name": f"{integration_type} {uuid.uuid4()}",
            "config": config,
        }
        reply = self.call("POST", "/integrations", json=body | fields)
        assert reply.status_code == 201, reply.text
        return dict(reply.json()["integration"])

    def rows(self, table: str, **filters: str) -> list[dict[str, Any]]:
        """What the user sees of a table through /rest/v1."""
        headers = {"Authorization": f"Bearer {self.stack.token(self.user)}", "apikey": self.stack.anon_key}
        url = f"{self.stack.url}/rest/v1/{table}"
        reply = httpx.get(url, params=filters, headers=headers, timeout=60, verify=PLAIN)
        assert reply.status_code == 200, reply.text
        return list(reply.json())


def run_tick(stack: Stack, seconds: float = 20, idle_seconds: float = 1.0) -> dict[str, dict[str, Any]]:
    """One tick of the scheduler; what it says it did."""
    reply = httpx.post(
        f"{stack.url}/functions/v1/scheduler",
        json={"seconds": seconds, "idle_seconds": idle_seconds},
        headers={"X-Scheduler-Secret": stack.scheduler_secret},
        timeout=seconds + 30,
        verify=PLAIN,
    )
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def enqueue(
    admin: Platform,
    count: int,
    kind: str = "telemetry",
    device: str = "a",
    payload: dict[str, Any] | None = None,
) -> None:
    """Have a device say something that all webhooks want; each call is a batch and a moment of its own."""
    source = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")
    messages = [
        {"event_id": str(uuid.uuid4()), "device": device, "kind": kind, "payload": payload or {"n": number}}
        for number in range(count)
    ]
    with admin.stack.connect() as connection:
        connection.execute("select ingest_messages(%s, %s)", (source["id"], Jsonb(messages)))
