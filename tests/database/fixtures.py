"""What the tests of the SQL functions start from: a transaction as service_role, rolled back at the end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.stack import Stack

Row = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """The functions the scheduler calls, on one organization."""

    connection: psycopg.Connection[Row]
    organization_id: str

    def run(self, statement: str, *values: Any) -> list[Row]:
        """The rows of any statement."""
        return self.connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        """The only value of the only row."""
        (row,) = self.run(statement, *values)
        (value,) = row.values()
        return value

    def make_integration(self, integration_type: str = "mqtt", **settings: Any) -> str:
        """A new integration; its id."""
        return str(
            self.one(
                "insert into device_integrations (organization_id, integration_type, name, settings)"
                " values (%s, %s, %s, %s) returning id",
                self.organization_id,
                integration_type,
                str(uuid.uuid4()),
                Jsonb(settings),
            )
        )

    def seal(self, integration_id: str, sent: str | None = None, kept: str | None = None) -> None:
        """Sealed secrets of the integration, as the functions that seal write them."""
        self.as_owner(
            "insert into private.integration_secrets as s (integration_id, organization_id, sealed_sent, sealed_kept)"
            " values (%s, %s, %s, %s) on conflict (integration_id) do update"
            " set sealed_sent = excluded.sealed_sent, sealed_kept = excluded.sealed_kept",
            integration_id,
            self.organization_id,
            sent,
            kept,
        )

    def sealed(self, integration_id: str) -> tuple[str | None, str | None, int]:
        """Both sealed texts of the integration, and its counter."""
        (row,) = self.run(
            "select sealed_sent, sealed_kept, seal_count from private.sealed_integrations where id = %s",
            integration_id,
        )
        return row["sealed_sent"], row["sealed_kept"], row["seal_count"]

    def as_owner(self, statement: str, *values: Any) -> None:
        """A statement as the owner of the tables, for what the service may not write."""
        self.connection.execute("reset role")
        self.connection.execute(statement, values)
        self.connection.execute("set local role service_role")

    def set_budget(self, budget: str, whose: str, per_minute: int) -> None:
        """How many tokens a minute everybody's bucket of a kind has."""
        self.as_owner(
            "update private.budgets set per_minute = %s where budget = %s and whose = %s",
            per_minute,
            budget,
            whose,
        )

    def set_quota(self, bound: str, most: int) -> None:
        """What the organization may have of something."""
        self.as_owner(
            "insert into private.quotas (organization_id, bound, most) values (%s, %s, %s)"
            " on conflict (bound, organization_id) do update set most = excluded.most",
            self.organization_id,
            bound,
            most,
        )

    def ingest(self, integration_id: str, messages: list[Row], **lease: Any) -> Row:
        """`ingest_messages`, by column as sessions do; its counts."""
        counts: Row = self.one(
            "select ingest_messages(%s, %s, %s, %s, %s)",
            integration_id,
            Jsonb(make_columns(messages)),
            lease.get("token"),
            lease.get("seconds"),
            Jsonb(lease["state"]) if "state" in lease else None,
        )
        return counts

    def lease(self, integration_id: str) -> Row:
        """`lease_sessions`; the row of this integration, which has to be due."""
        rows = self.run("select * from lease_sessions(100, 30)")
        return next(row for row in rows if str(row["id"]) == integration_id)


def open_service(stack: Stack) -> Service:
    """A connection as service_role; roll it back and close it after use."""
    connection = psycopg.connect(stack.db_url, row_factory=dict_row)
    # Tests of other modules leave rows behind, which would be leased, counted and taken over too.
    for table in (
        "devices",
        "device_integrations",
        "webhook_deliveries",
        "integration_activity",
        "device_commands",
        "alerts",
    ):
        connection.execute(f"delete from {table}")
    connection.execute("set local role service_role")
    return Service(connection, str(stack.user("owner", 0).organization_id))


def make_columns(messages: list[Row]) -> dict[str, list[Any]]:
    """The same messages by column; one that none has is left out."""
    names = dict.fromkeys(name for message in messages for name in message)
    return {name: [message.get(name) for message in messages] for name in names}


def make_messages(count: int, device: str | None = "a", **fields: Any) -> list[Row]:
    """Messages with ids of their own."""
    return [
        {
            "event_id": str(uuid.uuid4()),
            "device": device,
            "kind": "telemetry",
            "payload": {"temperature": number},
        }
        | fields
        for number in range(count)
    ]
