"""Simulated machines whose readings are in a Kafka topic, in a small cluster of the demo's own."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer

from scripts.demonstration.fleet import PAUSE_SECONDS, Published
from scripts.demonstration.threads import Simulation
from scripts.local.kafka_cluster import read_servers, start_cluster

TOPIC = "plant.telemetry"
DEVICES = ("press-1", "press-2", "oven-3")
ACK_SECONDS = 10.0


_running: list[subprocess.Popen[str]] = []


def run_cluster() -> str:
    """Its servers; it ends with this process, whose pipe it reads."""
    _running.append(start_cluster(1))
    return read_servers(_running[-1])


def make_config(servers: str) -> dict[str, Any]:
    """The config of what reads the demo's topic, which may be there already."""
    plain = {"bootstrap_servers": servers, "security_protocol": "PLAINTEXT"}
    return plain | {"topics": [TOPIC], "start": "beginning"}


def start_machines(servers: str, readings: int, report: Callable[[Published], None]) -> Simulation:
    """Produce `readings` of every machine; `report` hears of each once the cluster has acknowledged it.

    Errors: RuntimeError when it doesn't.
    """
    producer = Producer({"bootstrap.servers": servers, "log_level": 0})
    # Asked for, a topic is made; it has to be there when the integration looks for it.
    producer.list_topics(TOPIC, timeout=ACK_SECONDS)

    def run(device: str) -> None:
        for number in range(1, readings + 1):
            body = orjson.dumps({"temperature": round(random.gauss(180, 4), 2), "seq": number})
            _produce(producer, device, body)
            report(Published(TOPIC, body))
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation

    return Simulation(run, DEVICES)


def _produce(producer: Producer, device: str, body: bytes) -> None:
    failures: list[KafkaError | None] = []

    def hear(error: KafkaError | None, _: Message) -> None:
        failures.append(error)

    producer.produce(TOPIC, body, key=device, on_delivery=hear)
    ends = time.monotonic() + ACK_SECONDS
    while not failures and time.monotonic() < ends:
        producer.poll(0.05)
    if failures != [None]:
        raise RuntimeError(f"The cluster did not take a reading: {failures[0] if failures else 'no answer'}.")
