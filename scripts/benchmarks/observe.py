"""What observing costs: MQTT drains and deliveries with health, alerts, metrics and requests kept, beside without.

Rounds take turns on one stack. Without: the triggers that keep the facts are off, nothing is judged or summed up, no
tally is written, no request is kept. With: all of it; what is due is judged each second, by a connection that stays, as
a worker's do, and falls due six times as often as it does there. With health alone: no tally is written, nothing is
summed up or scraped. `mqtt_ratio` and `webhooks_ratio` are the rate with all of it over that without of the same
round, the median of all rounds, for the machine drifts more from round to round than what is measured;
`health_…_ratio` the same of health alone. `…_cpu_ratio` are the CPU time without over that with it, of Postgres, the
workers, this process and all others that take part: what a busy machine changes less. `judge_us` is what judging costs
for each integration, of a thousand.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from unittest import mock

import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._costs import read_costs
from scripts.benchmarks._drains import Site
from scripts.benchmarks._endpoint import start_endpoint
from scripts.benchmarks._mosquitto import start_mosquitto
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service
from scripts.benchmarks._workers import start_worker
from scripts.benchmarks.webhooks import Scene, measure_rate, set_environment
from scripts.local.stack import Report
from shared.deliveries.requests import RequestLog
from shared.runtime.vault.keys import make_key

REACH = {
    "mqtt_ratio": "≥ 0.95",
    "webhooks_ratio": "≥ 0.95",
    "health_mqtt_ratio": "≥ 0.97",
    "health_webhooks_ratio": "≥ 0.97",
}
TRIGGERS = (("integration_metrics", "note_messages"), ("integration_schedules", "note_sessions"))
NOTE_ATTEMPTS = "select pg_get_functiondef('private.note_attempts'::regproc)"
NOTE_NOTHING = """
create or replace function private.note_attempts(p_tally jsonb) returns void language sql set search_path = '' as ''
"""
NO_TALLIES = """
create or replace function private.drop_row() returns trigger language plpgsql as 'begin return null; end';
create trigger drop_row before insert on private.metric_tallies for each row execute function private.drop_row();
"""
TALLIES = "drop function private.drop_row() cascade"
JUDGE = "select public.judge_integrations(1000, 10, 3600)"
JUDGE_ALL = "select public.judge_integrations(1000, 0, 3600)"
WATCH = f"{JUDGE}, public.sum_metrics(), public.read_platform_metrics()"
SCRAPE_SECONDS = 10
WAYS = ("nothing", "health", "all")
DEVICES, CROWD = 100, 1_000
MAKE_CROWD = """
insert into public.device_integrations (organization_id, integration_type, name)
select o.id, 'mqtt', 'crowd ' || n
  from (select id from public.organizations order by name limit 1) o, generate_series(1, %s) n
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """The connections by which observing is switched, and by which everything is judged."""

    owner: psycopg.Connection
    judge: psycopg.Connection


def measure(bench: Bench) -> Numbers:
    """All of it, on one stack."""
    os.environ.setdefault("INTEGRATION_KEYS", make_key("bench"))
    with (
        bench.step("Starting a stack"),
        start_stack() as report,
        connect_service(report) as connection,
        psycopg.connect(report.db_url, autocommit=True) as owner,
        connect_service(report) as judge,
    ):
        set_environment(report)
        judge.execute(WATCH.encode())
        watch = Watch(owner, judge)
        drains = _compare_drains(bench, report, connection, watch)
        numbers = drains | _compare_webhooks(bench, report, connection, watch)
        return numbers | {"judge_us": _measure_judging(owner, bench.size(CROWD))}


def _compare_drains(bench: Bench, report: Report, connection: psycopg.Connection, watch: Watch) -> Numbers:
    site, size = Site(report, connection), bench.rounds(60_000, 10_000)
    with start_mosquitto() as port, start_worker(report):
        return _compare(bench, "mqtt", watch, lambda: site.drain([port], size, DEVICES).rate)


def _compare_webhooks(bench: Bench, report: Report, connection: psycopg.Connection, watch: Watch) -> Numbers:
    with start_endpoint() as url:
        row = connection.execute("select id::text from public.organizations order by name limit 1").fetchone()
        scene = Scene(bench, connection, row[0] if row else "", url, report)
        return _compare(bench, "webhooks", watch, lambda: measure_rate(scene))


def _compare(bench: Bench, name: str, watch: Watch, run: Callable[[], float]) -> Numbers:
    """Each way of observing, side by side; which of them is first changes from round to round."""
    run()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in bench.track(f"Observing {name}", bench.rounds(9, 3)):
        for place in range(len(WAYS)):
            way = WAYS[(turn + place) % len(WAYS)]
            with _observe(watch, way):
                before = _read_cpu()
                rates[way].append(run())
                costs[way].append(_read_cpu() - before)
    numbers = {f"{name}_rate": statistics.median(rates["all"])}
    for way, prefix in (("all", ""), ("health", "health_")):
        numbers[f"{prefix}{name}_ratio"] = _divide_rounds(rates[way], rates["nothing"])
        numbers[f"{prefix}{name}_cpu_ratio"] = _divide_rounds(costs["nothing"], costs[way])
    return numbers


def _divide_rounds(over: list[float], under: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def _read_cpu() -> float:
    """CPU seconds so far of this process and of all it has started."""
    return sum(read_costs().values()) + time.process_time()


@contextmanager
def _observe(watch: Watch, way: str) -> Iterator[None]:
    if way == "nothing":
        with _look_away(watch.owner):
            yield
    elif way == "health":
        with _drop_tallies(watch.owner), _judge(watch.judge, JUDGE):
            yield
    else:
        with _judge(watch.judge, WATCH):
            yield


@contextmanager
def _drop_tallies(owner: psycopg.Connection) -> Iterator[None]:
    owner.execute(NO_TALLIES)
    try:
        yield
    finally:
        owner.execute(TALLIES)


@contextmanager
def _look_away(owner: psycopg.Connection) -> Iterator[None]:
    with _drop_tallies(owner):
        (kept,) = owner.execute(NOTE_ATTEMPTS).fetchone() or ("",)
        for table, trigger in TRIGGERS:
            owner.execute(f"alter table public.{table} disable trigger {trigger}".encode())
        owner.execute(NOTE_NOTHING)
        try:
            with mock.patch.object(RequestLog, "add", _keep_nothing):
                yield
        finally:
            owner.execute(str(kept).encode())
            for table, trigger in TRIGGERS:
                owner.execute(f"alter table public.{table} enable trigger {trigger}".encode())


def _keep_nothing(*_: object) -> None:
    # No mock, which would cost more than what it stands for.
    pass


@contextmanager
def _judge(connection: psycopg.Connection, scrape: str) -> Iterator[None]:
    """What is due is judged each second, and `scrape` asked as often as it may be."""
    ended = threading.Event()

    def judge() -> None:
        for second in count(1):
            if ended.wait(1.0):
                return
            connection.execute((JUDGE if second % SCRAPE_SECONDS else scrape).encode())

    judging = threading.Thread(target=judge)
    judging.start()
    try:
        yield
    finally:
        ended.set()
        judging.join()


def _measure_judging(owner: psycopg.Connection, crowd: int) -> float:
    owner.execute(MAKE_CROWD, [crowd])
    begun = time.perf_counter()
    owner.execute(JUDGE_ALL)
    return (time.perf_counter() - begun) / crowd * 1_000_000
