"""A Kafka cluster on this machine, in memory: the one that librdkafka brings for tests, in a process of its own.

`python -m scripts.local.kafka_cluster [BROKERS]` prints its servers, separated by commas, and lives as long as its
standard input is open. It makes topics of four partitions when something is produced to them, speaks neither TLS nor
SASL, and forgets what is old: of a partition it keeps about five megabytes.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 15.0


@contextmanager
def run_cluster(brokers: int = 1) -> Iterator[str]:
    """Its servers, as bootstrap_servers takes them."""
    process = start_cluster(brokers)
    try:
        yield read_servers(process)
    finally:
        process.kill()
        process.communicate()


def start_cluster(brokers: int = 1) -> subprocess.Popen[str]:
    """The process, which prints its servers."""
    argv = [sys.executable, "-m", "scripts.local.kafka_cluster", str(brokers)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def read_servers(process: subprocess.Popen[str]) -> str:
    """What it prints; RuntimeError where it does not start."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    servers = process.stdout.readline().strip()
    if not servers:
        raise RuntimeError("The cluster did not start.")
    return servers


def main(brokers: int) -> None:
    """Run it until standard input ends."""
    producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": brokers, "log_level": 3})
    found = producer.list_topics(timeout=START_SECONDS).brokers.values()
    print(",".join(f"{each.host}:{each.port}" for each in found), flush=True)
    while not (select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.readline()):
        producer.poll(0.5)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
