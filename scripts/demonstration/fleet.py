"""A small fleet of simulated devices, each with its own MQTT client and its own readings."""

from __future__ import annotations

import itertools
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
KEPT_PAUSE_SECONDS = 5.0
FIRST_KEPT = 1_000
"""The number of the first reading beyond the demo's own."""

MOST_WAITING = 100
"""Readings of one device that wait for the broker, should it be away."""


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


def keep_fleet(mqtt_url: str) -> Simulation:
    """Let every device go on with a reading every few seconds, until the process ends."""
    return Simulation(lambda device: _keep_device(mqtt_url, device), DEVICES)


def is_from_fleet(payload: object) -> bool:
    """Whether a payload is one of the fleet's own."""
    return isinstance(payload, dict) and "seq" in payload


def _keep_device(mqtt_url: str, device: str) -> None:
    client = _connect(mqtt_url, device)
    for sequence in itertools.count(FIRST_KEPT):
        reading = _make_reading(device, sequence)
        client.publish(reading.topic, reading.payload, qos=1)
        time.sleep(KEPT_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation


def _connect(mqtt_url: str, device: str) -> mqtt.Client:
    broker = urlsplit(mqtt_url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"demo-{device}")
    client.max_queued_messages_set(MOST_WAITING)
    client.connect(broker.hostname or "127.0.0.1", broker.port or 1883)
    client.loop_start()
    return client


def _run_device(mqtt_url: str, device: str, readings: int, report: Callable[[Published], None]) -> None:
    client = _connect(mqtt_url, device)
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
    messages += [_make_reading(device, sequence) for sequence in range(1, readings + 1)]
    if device == "pump-12":
        messages.insert(len(messages) // 2, Published(topic, MALFORMED))
    return messages


def _make_reading(device: str, sequence: int) -> Published:
    reading = {
        "device": device,
        "temperature": round(random.gauss(21, 3), 2),
        "battery": 100 - sequence % 100,
        "seq": sequence,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return Published(f"devices/{device}/telemetry", orjson.dumps(reading))
