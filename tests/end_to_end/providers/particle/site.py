"""A Particle of the test's own, and an admin's integration with it."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.clouds import connect_fleet
from tests.fakes.particle.senders import Sender
from tests.fakes.particle.server import FakeParticle
from tests.platform import Platform

SECRET = "particle-webhook-secret-0123"


def connect(admin: Platform, fake: FakeParticle, **config: Any) -> Fleet:
    """An integration that syncs when it is told to."""
    known = {"base_url": fake.url, "access_token": fake.token, "product_id": fake.product}
    given = known | {"webhook_secret": SECRET, "sync_direction": "off"} | config
    wanted = {name: value for name, value in given.items() if value is not None}
    return connect_fleet(admin, fake, "particle", wanted)


def receive_only(admin: Platform, **config: Any) -> tuple[str, Sender]:
    """An integration that is only pushed to, and the webhook that pushes to it."""
    given = {"webhook_secret": SECRET, "product_id": "30301"} | config
    integration_id = str(admin.create("particle", given)["id"])
    url = f"{admin.stack.url}/functions/v1/receive/{integration_id}"
    return integration_id, Sender(url, {"X-Webhook-Secret": SECRET})


def name_device(number: int) -> str:
    """An id as Particle's are."""
    return f"{number:024x}"
