"""The recipe of docs/aws-iot.md works at a broker that, like AWS, knows clients by their certificates alone."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.documents import read_blocks
from tests.fakes.brokers import make_mosquitto
from tests.fakes.certificates import PemAuthority
from tests.platform import Platform, run_tick

AUTHORITY = PemAuthority()
PAGE = Path(__file__).resolve().parents[4] / "docs" / "aws-iot.md"


@contextmanager
def connect_device(folder: Path, port: int) -> Iterator[paho.Client]:
    device = AUTHORITY.issue("pump-1")
    certificate, key, trust = folder / "device.pem", folder / "device.key", folder / "ca.pem"
    certificate.write_text(device.certificate)
    key.write_text(device.key)
    trust.write_text(AUTHORITY.pem)
    client = paho.Client(CallbackAPIVersion.VERSION2, "pump-1")
    context = ssl.create_default_context(cafile=str(trust))
    context.load_cert_chain(certificate, key)
    client.tls_set_context(context)
    client.connect("127.0.0.1", port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def test_what_aws_sends_again_is_stored_once_by_the_id_that_the_device_gave(
    admin: Platform, tmp_path: Path
) -> None:
    (recipe,) = read_blocks(PAGE, "json", "MQTT instead of rules")
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"), "require_certificate true")
    client = AUTHORITY.issue("platform")
    with make_mosquitto(tmp_path, listener=[*listener, "use_identity_as_username true"]) as broker:
        config = json.loads(recipe) | {
            "broker_url": f"mqtts://127.0.0.1:{broker.port}",
            "client_certificate": client.certificate,
            "client_key": client.key,
            "ca_certificate": AUTHORITY.pem,
        }
        integration = admin.create("mqtt", config)
        run_tick(admin.stack, idle_seconds=0.5)
        with connect_device(tmp_path, broker.port) as device:
            for number in (1, 2, 1):
                body = json.dumps({"id": f"m-{number}", "t": number})
                device.publish("devices/pump-1/telemetry", body, qos=1).wait_for_publish(30)
        with admin.stack.connect() as connection:
            connection.execute("update integration_schedules set due_at = now()")

        run_tick(admin.stack, idle_seconds=2)

    stored = admin.rows(
        "device_messages", integration_id=f"eq.{integration['id']}", select="payload", order="id"
    )
    assert [row["payload"]["t"] for row in stored] == [1, 2]
