"""How many MQTT messages a second become committed rows: one session, QoS 1, from a queue that mosquitto has stored.

Bodies are JSON of about 90 bytes from 100 devices. `rate` is a worker that drains them into the stack through /rest/v1,
from its first commit to its last; `bare_rate` is paho by itself with manual acknowledgement, a process of its own too,
draining the same messages from the same broker. They take turns, and medians are compared: `ratio` is rate / bare_rate.
`lost` and `duplicated` compare what was published with the rows, over all of the run.

`growth_mb` is how much larger the worker is, at its largest, in the second half of a long drain than in the first.
`rate_10` and `rate_10000` are with as many devices, `default_rate` with mosquitto's own limit of 20 messages in flight.
`two_workers_ratio` is how much faster two workers drain two brokers than one does. `one_worker_cores` is how many cores
that one worker, Postgres, /rest/v1 and the brokers kept busy, `..._us` the CPU time of each part for a message: where
one worker leaves no core idle, two can't be faster. `idle_*` is what a worker costs that
watches 100 silent integrations of one organization, half of its places: CPU as a part of one core, and resident memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from scripts.benchmarks._bare import drain_bare
from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._drains import Drain, Site
from scripts.benchmarks._mosquitto import start_mosquitto
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service
from scripts.benchmarks._workers import Worker, start_worker

REACH = {
    "rate": "≥ 20,000 messages/s",
    "ratio": "≥ 0.8",
    "lost": "0",
    "duplicated": "0",
    "connect_to_first_row_s": "≤ 2 s",
    "growth_mb": "flat",
    "two_workers_ratio": "> 1 where one worker leaves cores idle",
}
DEVICES, FEW, CROWD = 100, 10, 10_000
IDLE_INTEGRATIONS = 100
DEFAULT_LIMITS = ("max_queued_messages 0",)


def measure(bench: Bench) -> Numbers:
    """Runs all parts on one stack."""
    size = bench.rounds(60_000, 20_000)
    with open_site(bench) as site:
        with start_mosquitto() as port, start_worker(site.report) as worker:
            numbers = _compare_rates(bench, site, port, size)
            with bench.step("A long drain"):
                numbers |= _watch_memory(site, worker, port, bench.rounds(500_000, 40_000))
            with bench.step("Few devices and many"):
                numbers["rate_10"] = site.drain([port], size, FEW).rate
                numbers["rate_10000"] = site.drain([port], size, CROWD).rate
        with (
            bench.step("mosquitto's own limits"),
            start_mosquitto(DEFAULT_LIMITS) as port,
            start_worker(site.report),
        ):
            numbers["default_rate"] = site.drain([port], size // 3, DEVICES).rate
        with bench.step("Two brokers"):
            numbers |= _compare_workers(site, size, bench.rounds(3, 1))
        with bench.step("Silent brokers"):
            numbers |= _watch_idle(site, bench.size(IDLE_INTEGRATIONS), bench.rounds(30, 5))
        return numbers | site.sum_up()


@contextmanager
def open_site(bench: Bench) -> Iterator[Site]:
    """A stack of its own, and what is done with it."""
    with ExitStack() as opened:
        with bench.step("Starting a stack"):
            report = opened.enter_context(start_stack())
            connection = opened.enter_context(connect_service(report))
        yield Site(report, connection)


def _compare_rates(bench: Bench, site: Site, port: int, size: int) -> Numbers:
    bare: list[float] = []
    drains: list[Drain] = []
    for turn in bench.track("Draining, bare and stored", bench.rounds(7, 3)):
        site.fill(port, f"bare-{turn}", size, DEVICES)
        bare.append(drain_bare(port, f"bare-{turn}", size))
        drains.append(site.drain([port], size, DEVICES))
    rate, bare_rate = statistics.median(drain.rate for drain in drains), statistics.median(bare)
    return {
        "rate": rate,
        "bare_rate": bare_rate,
        "ratio": rate / bare_rate,
        "connect_to_first_row_s": max(drain.first_row_s for drain in drains),
    }


def _watch_memory(site: Site, worker: Worker, port: int, size: int) -> Numbers:
    memory: tuple[list[float], list[float]] = ([], [])
    drain = site.drain([port], size, DEVICES, lambda rows: memory[rows > size // 2].append(worker.memory_mb))
    return {
        "long_rate": drain.rate,
        "memory_mb": max(memory[1]),
        "growth_mb": max(memory[1]) - max(memory[0]),
    }


def _compare_workers(site: Site, size: int, rounds: int) -> Numbers:
    drains: dict[int, list[Drain]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, done in drains.items():
            done.append(_drain_two(site, workers, size))
    rates = {workers: statistics.median(drain.rate for drain in done) for workers, done in drains.items()}
    return {
        "two_workers_ratio": rates[2] / rates[1],
        "one_worker_cores": statistics.median(drain.cores for drain in drains[1]),
        **{
            f"{part}_us": statistics.median(drain.costs[part] for drain in drains[1])
            for part in ("worker", "postgres", "broker", "rest")
        },
    }


def _drain_two(site: Site, workers: int, size: int) -> Drain:
    """Two brokers, which become due at the same moment."""
    with ExitStack() as opened:
        ports = [opened.enter_context(start_mosquitto()) for _ in range(2)]
        for _ in range(workers):
            opened.enter_context(start_worker(site.report))
        return site.drain(ports, size, DEVICES)


def _watch_idle(site: Site, count: int, seconds: float) -> Numbers:
    with start_mosquitto() as port, start_worker(site.report) as worker:
        begun = time.perf_counter()
        for number in range(count):
            site.watch_broker(port, f"idle-{number}")
        site.wait_until_subscribed(count)
        connect_seconds = time.perf_counter() - begun
        time.sleep(2)
        used = worker.cpu_seconds
        time.sleep(seconds)
        used = worker.cpu_seconds - used
        return {
            "idle_cpu": used / seconds,
            "idle_memory_mb": worker.memory_mb,
            "idle_connect_s": connect_seconds,
        }
