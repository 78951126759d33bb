"""How many Kafka records a second become committed rows: one session, from a topic of four partitions.

Bodies are JSON of about 90 bytes from 100 devices, which are the keys. `rate` is a worker that reads them into the
stack through /rest/v1, from its first commit to its last; `bare_rate` is aiokafka by itself without a group, a process
of its own too, reading the same topic; `ingest_rate` is `ingest_messages` over one connection, in the same run. `ratio`
is rate over the slower of the two. `lost` and `duplicated` compare what was produced with the rows, of all of the run.

`two_workers_ratio` is how much faster two workers read one topic than one does, which two sessions share either way:
all have leased and connected, and stand still while the topic is filled, as what a second worker takes to begin is none
of its speed. Cores bound it, not locks: each session has its own partitions, so devices, and its own row for where it
is; what both write is the integration's minute of metrics, last of all, where one waits for the other's commit.
`one_worker_cores` is how many cores that one worker, Postgres and /rest/v1 kept busy, `..._us` the CPU time of each
part for a record: two workers are as much faster as one leaves cores idle, twice at most. `shared_ratio` is what that
worker stores with the two sessions, over what it stores with one: Postgres then stores on two cores.
"""

from __future__ import annotations

import itertools
import statistics
import time
from contextlib import ExitStack

import orjson
import psycopg
from confluent_kafka import Producer

from scripts.benchmarks._bare_kafka import drain_bare
from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._drains import Drain, Site
from scripts.benchmarks._workers import start_worker
from scripts.benchmarks.ingest import COPIED, find_rate, store_batches
from scripts.benchmarks.mqtt import open_site
from scripts.local.kafka_cluster import run_cluster

REACH = {
    "rate": "≥ 20,000 records/s, ≥ 0.8 of ingest_rate",
    "ratio": "≥ 0.8",
    "lost": "0",
    "duplicated": "0",
    "first_row_s": "≤ 2 s",
    "two_workers_ratio": "> 1 where one worker leaves cores idle",
}
DEVICES = 100
MAKE_SECONDS = 10.0
_topics = (f"drain-{number}" for number in itertools.count())


def measure(bench: Bench) -> Numbers:
    """Runs all parts on one stack and one cluster."""
    size = bench.rounds(60_000, 20_000)
    with ExitStack() as opened:
        site = opened.enter_context(open_site(bench))
        servers = opened.enter_context(run_cluster())
        copier = opened.enter_context(psycopg.connect(site.report.db_url, autocommit=True))
        copier.execute(COPIED)
        ingest = find_rate(store_batches(bench, site.connection, copier, DEVICES)[0])
        with start_worker(site.report):
            numbers = _compare_rates(bench, site, servers, size, ingest)
        with bench.step("Two workers"):
            numbers |= _compare_workers(site, servers, size, bench.rounds(5, 1), numbers["rate"])
        return numbers | site.sum_up()


def _compare_rates(bench: Bench, site: Site, servers: str, size: int, ingest: float) -> Numbers:
    bare: list[float] = []
    drains: list[Drain] = []
    for _ in bench.track("Reading, bare and stored", bench.rounds(7, 3)):
        topic = next(_topics)
        _fill(servers, topic, size)
        bare.append(drain_bare(servers, topic, size))
        drains.append(site.store(lambda topic=topic: [site.watch_topic(servers, topic)], size))  # type: ignore[misc]
    rate, bare_rate = statistics.median(drain.rate for drain in drains), statistics.median(bare)
    return {
        "rate": rate,
        "bare_rate": bare_rate,
        "ingest_rate": ingest,
        "ratio": rate / min(bare_rate, ingest),
        "first_row_s": max(drain.first_row_s for drain in drains),
    }


def _compare_workers(site: Site, servers: str, size: int, rounds: int, rate: float) -> Numbers:
    drains: dict[int, list[Drain]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, done in drains.items():
            done.append(_drain_shared(site, servers, workers, size))
    rates = {workers: statistics.median(drain.rate for drain in done) for workers, done in drains.items()}
    return {
        "two_workers_ratio": rates[2] / rates[1],
        "shared_ratio": rates[1] / rate,
        "one_worker_cores": statistics.median(drain.cores for drain in drains[1]),
        **{
            f"{part}_us": statistics.median(drain.costs[part] for drain in drains[1])
            for part in ("worker", "postgres", "rest")
        },
    }


def _drain_shared(site: Site, servers: str, workers: int, size: int) -> Drain:
    """One topic, which two sessions of one integration share: they go on at one moment, when all of it is there."""
    topic = next(_topics)
    with ExitStack() as opened:
        started = [opened.enter_context(start_worker(site.report)) for _ in range(workers)]
        # Asked for, it is made.
        Producer({"bootstrap.servers": servers, "log_level": 0}).list_topics(topic, MAKE_SECONDS)
        integration_id = site.share_topic(servers, topic, workers)
        with ExitStack() as paused:
            for worker in started:
                paused.enter_context(worker.pause())
            _fill(servers, topic, size)
        return site.store(lambda: [integration_id], size)


def _fill(servers: str, topic: str, count: int) -> None:
    """Produce one reading for each number; it stands in the body as `pressure`, so that they can be told apart."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, "log_level": 0})
    for number in range(count):
        body = {
            "temperature": 20 + number % 500 / 100,
            "humidity": 48.2,
            "battery": 3.61,
            "pressure": number,
            "timestamp": round(time.time(), 3),
        }
        producer.produce(topic, orjson.dumps(body), key=f"device-{number % DEVICES}")
        if number % 1_000 == 0:
            producer.flush(30)
    if producer.flush(60):
        raise RuntimeError("The cluster did not take all records.")
