"""What observing costs: MQTT drains and deliveries with health, alerts, metrics and requests kept, beside without.

Rounds take turns on one stack. Without: the triggers that keep the facts are off, nothing is judged or summed up, no
tally is written, no request is kept. With: all of it, and everything is judged each second. `mqtt_ratio`
and `webhooks_ratio` are the median rate with it over that without. `judge_us` is what judging costs for each
integration, of a thousand.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from unittest import mock

import psycopg

from scripts.benchmarks._bench import Bench, Numbers
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

REACH = {"mqtt_ratio": "≥ 0.97", "webhooks_ratio": "≥ 0.97"}
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
JUDGE = "select public.judge_integrations(1000, 0)"
WATCH = f"{JUDGE}, public.sum_metrics(), public.read_platform_metrics()"
SCRAPE_SECONDS = 10
DEVICES, CROWD = 100, 1_000
MAKE_CROWD = """
insert into public.device_integrations (organization_id, integration_type, name)
select o.id, 'mqtt', 'crowd ' || n
  from (select id from public.organizations order by name limit 1) o, generate_series(1, %s) n
"""


def measure(bench: Bench) -> Numbers:
    """All of it, on one stack."""
    os.environ["INTEGRATION_KEYS"] = make_key("bench")
    with bench.step("Starting a stack"), start_stack() as report, connect_service(report) as connection:
        set_environment(report)
        numbers = _compare_drains(bench, report, connection) | _compare_webhooks(bench, report, connection)
        return numbers | {"judge_us": _measure_judging(report)}


def _compare_drains(bench: Bench, report: Report, connection: psycopg.Connection) -> Numbers:
    site, size = Site(report, connection), bench.rounds(60_000, 10_000)
    with start_mosquitto() as port, start_worker(report):
        rates = _take_turns(
            bench, "Draining MQTT", report, bench.rounds(9, 2), lambda: site.drain([port], size, DEVICES).rate
        )
    return {"mqtt_ratio": rates[True] / rates[False], "mqtt_rate": rates[True]}


def _compare_webhooks(bench: Bench, report: Report, connection: psycopg.Connection) -> Numbers:
    with start_endpoint() as url:
        row = connection.execute("select id::text from public.organizations order by name limit 1").fetchone()
        scene = Scene(bench, connection, row[0] if row else "", url, report)
        rates = _take_turns(bench, "Delivering", report, bench.rounds(9, 2), lambda: measure_rate(scene))
    return {"webhooks_ratio": rates[True] / rates[False], "webhooks_rate": rates[True]}


def _take_turns(
    bench: Bench, label: str, report: Report, rounds: int, run: Callable[[], float]
) -> dict[bool, float]:
    """The median rates with observing and without; which of them is first changes from round to round."""
    run()
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn in bench.track(label, rounds):
        for is_on in (turn % 2 == 0, turn % 2 == 1):
            with _observe(report) if is_on else _look_away(report):
                rates[is_on].append(run())
    return {is_on: statistics.median(each) for is_on, each in rates.items()}


@contextmanager
def _look_away(report: Report) -> Iterator[None]:
    with psycopg.connect(report.db_url, autocommit=True) as owner:
        (kept,) = owner.execute(NOTE_ATTEMPTS).fetchone() or ("",)
        for table, trigger in TRIGGERS:
            owner.execute(f"alter table public.{table} disable trigger {trigger}".encode())
        owner.execute(NOTE_NOTHING)
        owner.execute(NO_TALLIES)
        try:
            with mock.patch.object(RequestLog, "add", _keep_nothing):
                yield
        finally:
            owner.execute(TALLIES)
            owner.execute(str(kept).encode())
            for table, trigger in TRIGGERS:
                owner.execute(f"alter table public.{table} enable trigger {trigger}".encode())


def _keep_nothing(*_: object) -> None:
    # No mock, which would cost more than what it stands for.
    pass


@contextmanager
def _observe(report: Report) -> Iterator[None]:
    """Everything is judged each second, sixty times as often as a tick does, and scraped as often as it may be."""
    ended = threading.Event()

    def judge() -> None:
        with connect_service(report) as connection:
            for second in count(1):
                if ended.wait(1.0):
                    return
                connection.execute(JUDGE if second % SCRAPE_SECONDS else WATCH)

    judging = threading.Thread(target=judge)
    judging.start()
    try:
        yield
    finally:
        ended.set()
        judging.join()


def _measure_judging(report: Report) -> float:
    with psycopg.connect(report.db_url, autocommit=True) as owner:
        owner.execute(MAKE_CROWD, [CROWD])
        begun = time.perf_counter()
        owner.execute(JUDGE)
        return (time.perf_counter() - begun) / CROWD * 1_000_000
