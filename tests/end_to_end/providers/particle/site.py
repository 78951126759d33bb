"""A Particle of the test's own, and an admin's integration with it."""

from __future__ import annotations

import uuid
from typing import Any, cast

from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import FakeGolioth
from tests.fakes.particle.senders import Sender
from tests.fakes.particle.server import FakeParticle
from tests.platform import Platform

SECRET = "particle-webhook-secret-0123"


def connect(admin: Platform, fake: FakeParticle, **config: Any) -> Fleet:
    """An integration that syncs when it is told to."""
    with admin.stack.connect() as connection:
        connection.execute("delete from integration_jobs")
        connection.execute("delete from device_provisionings")
    known = {"base_url": fake.url, "access_token": fake.token, "product_id": fake.product}
    given = known | {"webhook_secret": SECRET, "sync_direction": "off"} | config
    wanted = {name: value for name, value in given.items() if value is not None}
    # The fleet asks its fake for nothing.
    return Fleet(admin, cast("FakeGolioth", fake), admin.create("particle", wanted))


def receive_only(admin: Platform, **config: Any) -> tuple[str, Sender]:
    """An integration that is only pushed to, and the webhook that pushes to it."""
    given = {"webhook_secret": SECRET, "product_id": "30301"} | config
    integration_id = str(admin.create("particle", given)["id"])
    url = f"{admin.stack.url}/functions/v1/receive/{integration_id}"
    return integration_id, Sender(url, {"X-Webhook-Secret": SECRET})


def name_device(number: int) -> str:
    """An id as Particle's are."""
    return f"{number:024x}"


def add_known(admin: Platform, integration_id: str, external_id: str) -> str:
    """A device that both sides know; its id here."""
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, %s, %s) returning id::text",
            (admin.user.organization_id, integration_id, external_id, f"device {uuid.uuid4()}"),
        ).fetchone()
    assert row
    return str(row[0])
