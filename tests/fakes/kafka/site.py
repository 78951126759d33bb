"""What tests do with a cluster: produce to it, read what is in it, and make integrations of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from shared.provider import Identity, load_provider, require
from shared.providers.kafka import Kafka

INTEGRATION = "3f0b7a52-0f5e-4f43-9c55-0d3f1c2a9b12"
TOPIC = "plant.telemetry"
QUIET = {"log_level": 0}
ANY = -1
PARTITIONS = range(4)
"""How many a topic has that the cluster makes by itself."""


def make_kafka(servers: str, **config: Any) -> Kafka:
    """An integration that reads `TOPIC` from its beginning, unless told otherwise."""
    settings: dict[str, Any] = {"bootstrap_servers": servers, "security_protocol": "PLAINTEXT"}
    if "events_topic" not in config:
        settings |= {"topics": [TOPIC], "start": "beginning"}
    return require(load_provider(settings | config, Identity("organization", INTEGRATION, "kafka")), Kafka)


def produce(  # noqa: PLR0913 - as many things a record has
    servers: str,
    values: Iterable[bytes | None],
    *,
    topic: str = TOPIC,
    key: str | None = "pump-1",
    partition: int = ANY,
    headers: list[tuple[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Produce records to a topic, which is made where it is missing; all are there when this returns."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5} | QUIET | dict(settings or {}))
    for value in values:
        while True:
            try:
                producer.produce(topic, value, key=key, headers=headers, partition=partition)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    assert producer.flush(30) == 0


def make_readings(numbers: Iterable[int]) -> list[bytes]:
    """Bodies that can be told apart by `pressure`."""
    return [orjson.dumps({"temperature": 21.5, "humidity": 48.2, "pressure": number}) for number in numbers]


def read_all(servers: str, topic: str) -> list[Message]:
    """Every record of a topic that the cluster keeps."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "tests", "auto.offset.reset": "earliest"} | QUIET
    )
    try:
        places = [
            TopicPartition(topic, number, 0)
            for number in consumer.list_topics(topic).topics[topic].partitions
        ]
        ends = {place.partition: consumer.get_watermark_offsets(place)[1] for place in places}
        found: list[Message] = []
        consumer.assign(places)
        while len(found) < sum(ends.values()):
            found += consumer.consume(1_000, 0.2)
        return found
    finally:
        consumer.close()
