"""What the demo asks of the platform, over HTTP only: sign in, manage integrations, count."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

PAGE = 1000
SUBSCRIBE_SECONDS = 20.0


@dataclass(frozen=True)
class Session:
    """A signed-in user; use it in a `with`. Errors: httpx.HTTPStatusError with the reply."""

    http: httpx.Client

    def create_integration(self, integration_type: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """POST /integrations in the caller's organization; what it answers, with the secrets it made."""
        organization = self.rows("organizations", "id")[0]["id"]
        body = {
            "organization_id": organization,
            "integration_type": integration_type,
            "name": name,
            "config": config,
        }
        reply = self.http.post("/functions/v1/integrations", json=body)
        if reply.is_error:
            raise RuntimeError(f"{name} could not be created: {reply.text}")
        return dict(reply.json())

    def create_codec(self, name: str, source: str, fixtures: list[dict[str, Any]]) -> dict[str, Any]:
        """POST /integrations/codecs in the caller's organization: a JavaScript codec."""
        organization = self.rows("organizations", "id")[0]["id"]
        body = {"organization_id": organization, "name": name, "kind": "javascript", "source": source}
        reply = self.http.post("/functions/v1/integrations/codecs", json=body | {"fixtures": fixtures})
        if reply.is_error:
            raise RuntimeError(f"{name} could not be created: {reply.text}")
        return dict(reply.json()["codec"])

    def rows(self, table: str, columns: str, **filters: str) -> list[dict[str, Any]]:
        """Everything the caller may see of a table, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.http.get(
                f"/rest/v1/{table}",
                params={
                    "select": columns,
                    "limit": str(PAGE),
                    "offset": str(len(found)),
                    "order": "id",
                    **filters,
                },
            )
            found += page.raise_for_status().json()
            if len(page.json()) < PAGE:
                return found

    def newest(self, table: str, columns: str, limit: str) -> list[dict[str, Any]]:
        """The latest rows, newest first."""
        query = {"select": columns, "order": "received_at.desc", "limit": limit}
        return list(self.http.get(f"/rest/v1/{table}", params=query).raise_for_status().json())


def sign_in(url: str, anon_key: str, email: str, password: str) -> Session:
    """A session of a seeded user."""
    http = httpx.Client(base_url=url, headers={"apikey": anon_key}, timeout=60)
    reply = http.post(
        "/auth/v1/token", params={"grant_type": "password"}, json={"email": email, "password": password}
    )
    http.headers["Authorization"] = f"Bearer {reply.raise_for_status().json()['access_token']}"
    return Session(http)


def wait_for_session(stack: dict[str, Any], integration_id: str) -> None:
    """Until the worker has subscribed at the integration's broker. Errors: RuntimeError when it takes too long."""
    key, deadline = stack["service_role_key"], time.monotonic() + SUBSCRIBE_SECONDS
    query = {"select": "state->subscribed", "integration_id": f"eq.{integration_id}"}
    while time.monotonic() < deadline:
        reply = httpx.get(
            f"{stack['url']}/rest/v1/integration_schedules", params=query, headers={"apikey": key}, timeout=30
        )
        if any(row["subscribed"] for row in reply.raise_for_status().json()):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The worker did not subscribe within {SUBSCRIBE_SECONDS:.0f} seconds.")
