"""A small fleet of simulated devices, each with its own MQTT client and its own readings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from scripts.demonstration.threads import Simulation

DEVICES = ("boiler-1", "cold-room-7", "greenhouse-3", "pump-12", "tank-4")
MALFORMED = b'{"device": "pump-12", "temperature": 21.'
PAUSE_SECONDS = 0.15
PUBACK_SECONDS = 10.0


@dataclass(frozen=True)
class Published:
    """One message the broker has acknowledged, as it was sent."""

    topic: str
    payload: bytes


def start_fleet(mqtt_url: str, readings: int, report: Callable[[Published], None]) -> Simulation:
    """Let every device publish a status and `readings` readings, one of them malformed; all QoS 1.

    `report` hears of each message once the broker has acknowledged it. Errors: RuntimeError when it doesn't.
    """
    return Simulation(lambda device: _run_device(mqtt_url, device, readings, report), DEVICES)


def _run_device(mqtt_url: str, device: str, readings: int, report: Callable[[Published], None]) -> None:
    broker = urlsplit(mqtt_url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"demo-{device}")
    client.connect(broker.hostname or "127.0.0.1", broker.port or 1883)
    client.loop_start()
    try:
        for message in _make_messages(device, readings):
            client.publish(message.topic, message.payload, qos=1).wait_for_publish(PUBACK_SECONDS)
            report(message)
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation
    finally:
        client.disconnect()
        client.loop_stop()


def _make_messages(device: str, readings: int) -> list[Published]:
    topic = f"devices/{device}/telemetry"
    messages = [
        Published(f"devices/{device}/status", orjson.dumps({"device": device, "status": "online", "seq": 0}))
    ]
    for sequence in range(1, readings + 1):
        reading = {
            "device": device,
            "temperature": round(random.gauss(21, 3), 2),
            "battery": 100 - sequence,
            "seq": sequence,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        messages.append(Published(topic, orjson.dumps(reading)))
    if device == "pump-12":
        messages.insert(len(messages) // 2, Published(topic, MALFORMED))
    return messages
