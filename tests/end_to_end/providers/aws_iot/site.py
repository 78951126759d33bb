"""An integration with the AWS of the tests, as its admin sees it, and its jobs done in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.commands.sending import run_commands
from shared.jobs.kinds import find_kind
from shared.jobs.run import run_job
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.fakes.aws import FakeAws, RuleSender
from tests.fakes.aws.server import KEY_ID, SECRET
from tests.platform import Platform

MOST_RUNS = 10
"""A machine that has much to do may need several for a large sync."""

WEBHOOK_SECRET = "canary-webhook-secret-of-a-rule"


@dataclass
class Site:
    """The account, and the integration with it."""

    admin: Platform
    aws: FakeAws
    integration: dict[str, Any]
    sender: RuleSender = field(init=False)

    def __post_init__(self) -> None:
        url = f"{self.admin.stack.url}/functions/v1/receive/{self.integration['id']}"
        self.sender = RuleSender(url, {"X-Webhook-Secret": WEBHOOK_SECRET})

    @property
    def path(self) -> str:
        """The integration's place in the API."""
        return f"/integrations/{self.integration['id']}"

    def call(self, method: str, path: str = "", **request: Any) -> httpx.Response:
        """A call below it."""
        return self.admin.call(method, f"{self.path}{path}", **request)

    def patch(self, **config: Any) -> None:
        """Change its config; the secret key has to be entered again where its place changes."""
        reply = self.call("PATCH", json={"config": config})
        assert reply.status_code == 200, reply.text

    def messages(self) -> list[dict[str, Any]]:
        """What is stored, in the order of arrival."""
        query = {"integration_id": f"eq.{self.integration['id']}", "order": "id"}
        return self.admin.rows("device_messages", select="*,devices(external_id,status)", **query)

    def devices(self) -> dict[str, dict[str, Any]]:
        """The devices here by their external id."""
        rows = self.admin.rows("devices", integration_id=f"eq.{self.integration['id']}", select="*")
        return {row["external_id"]: row for row in rows}

    def alerts(self) -> list[str]:
        """The kinds of its open alerts."""
        query = {"integration_id": f"eq.{self.integration['id']}", "resolved_at": "is.null"}
        return sorted(row["kind"] for row in self.admin.rows("alerts", select="kind", **query))

    def begin(self, kind: str = "sync", **request: Any) -> str:
        """A job; its id."""
        reply = self.call("POST", "/jobs", json={"kind": kind} | request)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["job"]["id"])

    def work(self, seconds: float = 120) -> None:
        """Do the jobs that are due, or will be after failed tries."""
        database = as_service()
        with self.admin.stack.connect() as connection:
            connection.execute(
                "update integration_jobs set due_at = now() where status in ('pending', 'running')"
            )
            connection.execute("update firmware_rollouts set state = state - 'next_sweep'")
        for row in database.call("lease_jobs", p_limit=8, p_lease_seconds=30):
            run_job(row, find_kind, database, Deadline(seconds))

    def sync(self, **request: Any) -> dict[str, Any]:
        """A whole sync; its report."""
        job_id = self.begin(**request)
        for _ in range(MOST_RUNS):
            self.work()
            job = dict(self.call("GET", f"/jobs/{job_id}").json()["job"])
            if job["status"] == "done":
                return dict(job["report"])
        raise AssertionError(job)

    def command(self, name: str, payload: Any, device_id: str) -> str:
        """A command; its id."""
        body = {"device_id": device_id, "name": name, "payload": payload}
        reply = self.admin.call("POST", "/commands", json=body)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["command"]["id"])

    def send_commands(self) -> None:
        """What a tick does with the commands that are due, or will be after failed tries."""
        with self.admin.stack.connect() as connection:
            connection.execute("update device_commands set due_at = now() where status = 'pending'")
            connection.execute("delete from private.rate_limits where budget = 'commands_held'")
        run_commands(as_service(), Deadline(2), Pulse())

    def read_command(self, command_id: str) -> dict[str, Any]:
        """A command as it is now."""
        (row,) = self.admin.rows("device_commands", id=f"eq.{command_id}", select="*")
        return row


@contextmanager
def open_site(admin: Platform, aws: FakeAws, **config: Any) -> Iterator[Site]:
    """An integration that syncs only when asked."""
    given = {
        "region": "eu-west-1",
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
        "endpoint_url": aws.url,
        "webhook_secret": WEBHOOK_SECRET,
        "sync_direction": "off",
        "command_topic": "devices/{device}/commands/{name}",
    } | config
    kept = {name: value for name, value in given.items() if value is not None}
    yield Site(admin, aws, admin.create("aws_iot", kept))


def soon(**ahead: float) -> str:
    """A moment ahead."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()
