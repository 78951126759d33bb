"""The codec of docs/lorawan.md reads what both network servers publish over MQTT with QoS 0."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.end_to_end.messages.test_codecs import devices_of, make_codec, messages_of
from tests.end_to_end.scheduler.test_tick import connect_broker
from tests.fakes.lorawan.senders import ChirpstackEvents, TtsEvents
from tests.platform import Platform, run_tick
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_codecs")

PAGE = Path(__file__).resolve().parents[4] / "docs" / "lorawan.md"


def read_source() -> str:
    (source,) = re.findall(r"```javascript\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(source)


def publish_unacknowledged(stack: Stack, topic: str, body: bytes) -> None:
    """With QoS 0, as network servers do."""
    broker = urlsplit(stack.mqtt_url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.hostname or "", broker.port or 1883)
    client.loop_start()
    client.publish(topic, body, qos=0).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_uplinks_of_both_come_as_readings_of_their_devices(admin: Platform) -> None:
    application, prefix = str(uuid.uuid4()), f"p{uuid.uuid4().hex}"
    topics = f"v3/{prefix}@ttn/devices/+/up, application/{application}/device/+/event/up"
    created = connect_broker(admin, prefix, topics=topics, qos=0, codec=make_codec(admin, read_source()))
    tts, chirpstack = TtsEvents(prefix), ChirpstackEvents(application)
    sent = [
        (f"v3/{prefix}@ttn/devices/room-1/up", tts.make_uplink("room-1", 0, b"\x01", {"t": 21.5})),
        (f"application/{application}/device/01/event/up", chirpstack.make_uplink("01", 4, b"\x01", {"t": 7})),
    ]

    def is_stored() -> bool:
        # What is published while no session is connected is lost, so it is said again.
        for topic, event in sent:
            publish_unacknowledged(admin.stack, topic, json.dumps(event).encode())
        return len(messages_of(admin, created["id"])) == len(sent)

    with ThreadPoolExecutor(1) as threads:
        ticking = threads.submit(run_tick, admin.stack, seconds=30, idle_seconds=10)
        wait_until(is_stored, "the uplinks are not stored", pause=0.5)
        ticking.result()

    devices = devices_of(admin)
    stored = {devices[row["device_id"]]: row for row in messages_of(admin, created["id"])}
    assert stored["room-1"]["payload"] == {"t": 21.5, "radio": {"rssi": -35, "snr": 9.5}}
    assert stored["01"]["payload"] == {"t": 7, "radio": {"rssi": -36, "snr": 0}}
    assert stored["room-1"]["observed_at"].startswith("2026-11-28T10:20:30.912")
    assert {row["error"] for row in stored.values()} == {None}
