"""A mosquitto of its own for a benchmark, and queues of stored messages to drain from it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scripts.benchmarks._publisher import publish_messages
from scripts.local.ports import find_free_port

START_SECONDS = 10.0
DAY_SECONDS = 86_400
IN_FLIGHT = 1_000
NO_LIMITS = ("max_queued_messages 0", "max_inflight_messages 0")


@contextmanager
def start_mosquitto(settings: tuple[str, ...] = NO_LIMITS) -> Iterator[int]:
    """A mosquitto on a free port of loopback, which is yielded; RuntimeError where there is none."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise RuntimeError("mosquitto is missing; scripts/bench mqtt installs it on Debian when run as root.")
    port = find_free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder) / "mosquitto.conf"
        lines = [f"user {getuser()}", *settings, f"listener {port} 127.0.0.1", "allow_anonymous true"]
        config.write_text("\n".join(lines) + "\n")
        process = subprocess.Popen(
            [program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_open(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def subscribe_session(port: int, client_id: str, topic_filter: str) -> None:
    """Begin a session of that client id, for which the broker stores from now on what is published."""
    client = make_client(client_id)

    def subscribe(*_: Any) -> None:
        client.subscribe(topic_filter, 1)

    def leave(*_: Any) -> None:
        client.disconnect()

    client.on_connect, client.on_subscribe = subscribe, leave
    connect_client(client, port)
    client.loop_forever()


def make_client(client_id: str) -> paho.Client:
    """paho as it comes, for MQTT 5 with manual acknowledgement."""
    return paho.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )


def connect_client(client: paho.Client, port: int) -> None:
    """Connect with the limits of our own sessions."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
    properties.SessionExpiryInterval = DAY_SECONDS
    properties.ReceiveMaximum = IN_FLIGHT
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)


def fill_queue(port: int, prefix: str, numbers: range, devices: int) -> None:
    """Publish one reading for each number; it stands in the body as `pressure`, so that they can be told apart."""
    publish_messages(port, (_make_reading(prefix, number, devices) for number in numbers))


def _make_reading(prefix: str, number: int, devices: int) -> tuple[str, bytes]:
    body = {
        "temperature": 20 + number % 500 / 100,
        "humidity": 48.2,
        "battery": 3.61,
        "pressure": number,
        "timestamp": round(time.time(), 3),
    }
    return f"{prefix}/device-{number % devices}/telemetry", orjson.dumps(body)


def wait_until(is_done: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll; RuntimeError when it takes longer."""
    ends = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > ends:
            raise RuntimeError(f"{what} took longer than {seconds:.0f} seconds.")
        time.sleep(0.02)


def _wait_until_open(port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_open, START_SECONDS, "Starting mosquitto")
