"""Bare aiokafka without a group, as a process of its own: reads a topic to its end and prints the seconds.

`python -m scripts.benchmarks._bare_kafka SERVERS TOPIC COUNT`
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from scripts.local.stack import ROOT

PARTITIONS = 4
"""As many a topic has that scripts/local/kafka_cluster.py makes."""


def drain_bare(servers: str, topic: str, count: int) -> float:
    """Records a second, from the first that comes to the last."""
    argv = [sys.executable, "-m", "scripts.benchmarks._bare_kafka", servers, topic, str(count)]
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    return count / float(done.stdout)


async def drain(servers: str, topic: str, count: int) -> float:
    """The seconds that it took."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        received, begun = 0, 0.0
        while received < count:
            found = await consumer.getmany(timeout_ms=500, max_records=1_000)
            begun = begun or time.perf_counter()
            received += sum(map(len, found.values()))
        return time.perf_counter() - begun
    finally:
        await consumer.stop()


if __name__ == "__main__":
    print(asyncio.run(drain(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
