"""A Golioth integration over a Golioth of our own, and its jobs done in the test's own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from shared.jobs.kinds import find_kind
from shared.jobs.run import run_job
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from tests.fakes.golioth import FakeGolioth
from tests.inside import environment_of
from tests.platform import Platform
from tests.stack import Stack

TABLES = ("devices", "device_links", "device_conflicts", "integration_activity", "device_provisionings")


@dataclass(frozen=True)
class Fleet:
    """What an admin sees of the devices on both sides."""

    admin: Platform
    fake: FakeGolioth
    integration: dict[str, Any]

    @property
    def path(self) -> str:
        """The integration's place in the API."""
        return f"/integrations/{self.integration['id']}"

    def begin(self, kind: str = "sync", **request: Any) -> dict[str, Any]:
        """A job begun through the API."""
        reply = self.admin.call("POST", f"{self.path}/jobs", json={"kind": kind} | request)
        assert reply.status_code == 202, reply.text
        return dict(reply.json()["job"])

    def work(self, seconds: float = 60) -> None:
        """Do the jobs that are due, or will be after failed tries."""
        database = as_service()
        with self.admin.stack.connect() as connection:
            connection.execute(
                "update integration_jobs set due_at = now() where status in ('pending', 'running')"
            )
        for row in database.call("lease_jobs", p_limit=8, p_lease_seconds=30):
            run_job(row, find_kind, database, Deadline(seconds))

    def read(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        return dict(self.admin.call("GET", f"{self.path}/jobs/{job_id}").json()["job"])

    def sync(self, **request: Any) -> dict[str, Any]:
        """A whole sync; its report."""
        job_id = self.begin(**request)["id"]
        self.work()
        job = self.read(job_id)
        assert job["status"] == "done", job
        return dict(job["report"])

    def wait_for(self, job_id: str, seen: int, seconds: float = 60) -> None:
        """Until a job has seen so many devices, or is finished."""
        ends = time.monotonic() + seconds
        while (job := self.read(job_id))["status"] != "done" and job["progress"].get("seen", 0) < seen:
            assert time.monotonic() < ends, job
            time.sleep(0.02)

    def count_devices(self) -> tuple[int, int]:
        """How many devices there are here, and how many different ones."""
        with self.admin.stack.connect() as connection:
            row = connection.execute(
                "select count(*), count(distinct external_id) from devices where integration_id = %s",
                (self.integration["id"],),
            ).fetchone()
        assert row is not None
        return row[0], row[1]

    def devices(self) -> dict[str, dict[str, Any]]:
        """The devices here by their name."""
        rows = self.admin.rows("devices", integration_id=f"eq.{self.integration['id']}", select="*")
        return {row["name"]: row for row in rows}

    def conflicts(self, status: str = "open") -> list[dict[str, Any]]:
        """The conflicts as the API lists them."""
        return list(self.admin.call("GET", f"{self.path}/conflicts?status={status}").json()["conflicts"])

    def rename(self, old: str, new: str, **metadata: Any) -> None:
        """What a member does to a device here."""
        device = self.devices()[old]
        values = {"name": new, "metadata": device["metadata"] | metadata}
        with self.admin.stack.connect() as connection:
            connection.execute(
                "update devices set name = %s, metadata = %s where id = %s",
                (new, Jsonb(values["metadata"]), device["id"]),
            )

    def add(self, external_id: str, name: str | None = None, **metadata: Any) -> str:
        """A device made by a person here; its id."""
        with self.admin.stack.connect() as connection:
            row = connection.execute(
                "insert into devices (organization_id, integration_id, external_id, name, metadata)"
                " values (%s, %s, %s, %s, %s) returning id",
                (
                    self.admin.user.organization_id,
                    self.integration["id"],
                    external_id,
                    name or external_id,
                    Jsonb(metadata),
                ),
            ).fetchone()
        assert row is not None
        return str(row[0])

    def snapshot(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of the tables a sync writes to, down to the transaction that wrote it."""
        with self.admin.stack.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return {
                table: cursor.execute(f"select xmin::text, t.* from {table} t order by t::text").fetchall()
                for table in TABLES
            }


@contextmanager
def open_fleet(stack: Stack, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Iterator[Fleet]:
    """A fleet without devices; nothing else on the stack is due."""
    clear_stack(stack)
    admin = Platform(stack, stack.user("admin", 0))
    with FakeGolioth() as fake, environment_of(stack, monkeypatch):
        account = {"base_url": fake.url, "api_key": fake.api_key, "project_id": fake.project_id}
        # Looks at the devices' state would be counted among the calls of the jobs.
        quiet = {"poll_state": False}
        yield Fleet(admin, fake, admin.create("golioth", account | quiet | config))
    clear_stack(stack)


def clear_stack(stack: Stack) -> None:
    """Nothing is left that a tick would do, or that another test would count."""
    with stack.connect() as connection:
        for table in ("device_integrations", "devices", "integration_activity"):
            connection.execute(f"delete from {table}")


def ago(**duration: float) -> str:
    """A moment so long ago, as Golioth writes it."""
    moment = datetime.now(UTC) - timedelta(**duration)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
