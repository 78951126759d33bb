"""An IoT Hub of the test's own, and an admin's integration with it."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.providers.clouds import connect_fleet
from tests.fakes.azure.event_grid import Schema, Subscription
from tests.fakes.azure.iot_hub import HOST, FakeIotHub
from tests.platform import Platform

SECRET = "azure-webhook-secret-0123"


def connect(admin: Platform, fake: FakeIotHub, **config: Any) -> Fleet:
    """An integration that syncs when it is told to."""
    string = f"HostName={HOST};SharedAccessKeyName={fake.policy};SharedAccessKey={fake.key}"
    given = {
        "base_url": fake.url,
        "shared_access_key": string,
        "webhook_secret": SECRET,
        "sync_direction": "off",
    }
    return connect_fleet(admin, fake, "azure_iot", given | config)


def receive_only(admin: Platform, schema: Schema = "grid", **config: Any) -> tuple[str, Subscription]:
    """An integration that is only pushed to, and the subscription that pushes to it."""
    integration_id = str(
        admin.create("azure_iot", {"host_name": HOST, "webhook_secret": SECRET} | config)["id"]
    )
    url = f"{admin.stack.url}/functions/v1/receive/{integration_id}?code={SECRET}"
    return integration_id, Subscription(url, schema)
