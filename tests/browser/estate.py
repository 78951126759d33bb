"""An organization in which everything has happened once: what each screen shows when it has something to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from tests.browser.console import create_mqtt
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform, run_tick

SCREENS = ("", "integrations", "devices", "codecs", "alerts", "audit", "members")
TABS = {
    "mqtt": ("Overview", "Messages", "Devices", "Activity"),
    "webhook": ("Overview", "Deliveries", "Activity"),
    "golioth": ("Sync & conflicts", "Firmware"),
}


@dataclass(frozen=True)
class Estate:
    """What there is, by what it is."""

    mqtt: dict[str, Any]
    webhook: dict[str, Any]
    golioth: dict[str, Any]
    device_id: str


def build_estate(admin: Platform, receiver: HttpReceiver) -> Estate:
    """Messages of which one failed, an alert, an event delivered and one refused, devices, a codec, a job."""
    receiver.answer = lambda request: Answer(200 if b"21.5" in request.body else 410)
    webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": []}, name="Endpoint")
    mqtt = create_mqtt(
        admin, "Hall 2", password="p", username="u", command_topic="devices/{device}/commands/{name}"
    )
    messages = [
        {
            "event_id": "1",
            "device": "pump-1",
            "kind": "telemetry",
            "observed_at": "2026-11-01T10:00:00Z",
            "payload": {"temperature": 21.5, "speed": 3},
            "metadata": {"rssi": -97, "snr": 7.5, "gateways": [{"id": "roof"}]},
        },
        {
            "event_id": "2",
            "device": "pump-1",
            "kind": "telemetry",
            "observed_at": "2026-11-01T10:05:00Z",
            "payload": {"temperature": 22.5, "speed": 5},
            "metadata": {"rssi": -101, "snr": 6},
        },
        {
            "event_id": "3",
            "device": "pump-2",
            "kind": "telemetry",
            "raw": "{not json",
            "error": "It is not JSON.",
        },
    ]
    with admin.stack.connect() as connection:
        connection.execute("select ingest_messages(%s, %s)", (mqtt["id"], Jsonb(messages)))
        connection.execute("update devices set status = 'offline' where external_id = 'pump-2'")
        connection.execute(
            "select private.raise_alert(%s, 'test', 'error', 'The broker refuses the password.', '{}')",
            (mqtt["id"],),
        )
        device = connection.execute("select id::text from devices where external_id = 'pump-1'").fetchone()
    assert device
    run_tick(admin.stack)
    golioth = admin.create(
        "golioth",
        {"api_key": "k", "project_id": "p", "sync_direction": "off"},
        name="Cloud",
        status="inactive",
    )
    decoder = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2 } }; }"
    codec = {"organization_id": admin.user.organization_id, "name": "Half degrees", "kind": "javascript"}
    fixtures = [{"hex": "2b", "data": {"t": 21.5}}]
    admin.call("POST", "/integrations/codecs", json={**codec, "source": decoder, "fixtures": fixtures})
    admin.call("POST", f"/integrations/{golioth['id']}/jobs", json={"kind": "sync", "dry_run": True})
    admin.call("POST", "/commands", json={"device_id": device[0], "name": "reboot", "payload": {"delay": 5}})
    return Estate(mqtt, webhook, golioth, device[0])
