"""What the demo asks of the platform, over HTTP only: sign in, manage integrations, tick, count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import orjson

PAGE = 1000


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


def sign_in(url: str, anon_key: str, email: str, password: str) -> Session:
    """A session of a seeded user."""
    http = httpx.Client(base_url=url, headers={"apikey": anon_key}, timeout=60)
    reply = http.post(
        "/auth/v1/token", params={"grant_type": "password"}, json={"email": email, "password": password}
    )
    http.headers["Authorization"] = f"Bearer {reply.raise_for_status().json()['access_token']}"
    return Session(http)


def run_tick(url: str, secret: str, seconds: float, idle_seconds: float) -> dict[str, Any]:
    """POST /scheduler and wait for its answer."""
    reply = httpx.post(
        f"{url}/functions/v1/scheduler",
        content=orjson.dumps({"seconds": seconds, "idle_seconds": idle_seconds}),
        headers={"X-Scheduler-Secret": secret, "Content-Type": "application/json"},
        timeout=seconds + 30,
    )
    return dict(reply.raise_for_status().json())
