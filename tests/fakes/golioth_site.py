"""A Golioth project connected to a running stack."""

from __future__ import annotations

import uuid
from typing import Any

from psycopg.rows import dict_row

from tests.fakes.golioth import FakeGolioth
from tests.fakes.golioth.data import know_device
from tests.platform import Platform

REFUSED = [(("viewer", 0), 403), (("member", 0), 403), (("owner", 1), 404), (("stranger", 0), 404)]
"""Who may not reach the other side of an integration of the first organization, and what they are answered."""


def connect_golioth(admin: Platform, fake: FakeGolioth, **config: Any) -> dict[str, Any]:
    """An integration with the fake that neither syncs nor polls unless `config` says so."""
    quiet = {"sync_direction": "off", "poll_state": False, "poll_interval_seconds": 86_400}
    account = {"base_url": fake.url, "api_key": fake.api_key, "project_id": fake.project_id}
    return admin.create("golioth", account | quiet | config)


def add_device(
    admin: Platform, integration: dict[str, Any], fake: FakeGolioth, **state: Any
) -> dict[str, Any]:
    """A device that both sides know."""
    external_id = uuid.uuid4().hex[:24]
    know_device(fake, external_id, **state)
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, %s, %s) returning id::text",
            (integration["organization_id"], integration["id"], external_id, external_id),
        ).fetchone()
    assert row
    return {"id": row[0], "external_id": external_id}


def read_messages(admin: Platform, integration: dict[str, Any]) -> list[dict[str, Any]]:
    """What is stored of an integration, in the order it was observed, with the device each is of."""
    statement = (
        "select m.kind, m.topic, m.payload, m.observed_at as at, m.raw, m.error, m.remark,"
        " d.external_id as device, d.status from device_messages m left join devices d on d.id = m.device_id"
        " where m.integration_id = %s order by m.observed_at, m.id"
    )
    with admin.stack.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, (integration["id"],)).fetchall()
