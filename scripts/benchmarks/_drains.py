"""Queues that mosquitto has stored, drained by workers into the committed rows of a running stack."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from scripts.benchmarks._costs import read_costs
from scripts.benchmarks._mosquitto import fill_queue, subscribe_session, wait_until
from scripts.benchmarks._service import make_integration
from scripts.local.stack import Report

DRAIN_SECONDS = 300.0

COUNT = """
select coalesce(sum(received), 0)::bigint
  from public.integration_metrics where integration_id = any(%s::uuid[])
"""
RATE = """
select coalesce(
         (count(*) - count(*) filter (where received_at = first))
           / nullif(extract(epoch from max(received_at) - first), 0),
         -- All at once.
         count(*))
  from (select received_at, min(received_at) over () as first
          from public.device_messages where integration_id = any(%s::uuid[])) m
 group by first
"""
KEPT = """
select count(*), count(distinct payload ->> 'pressure') from public.device_messages where integration_id = %s
"""
FIRST = """
select extract(epoch from min(m.received_at) - i.created_at)
  from public.device_integrations i join public.device_messages m on m.integration_id = i.id
 where i.id = any(%s::uuid[]) group by i.id order by 1 desc
"""
SUBSCRIBED = (
    "select count(*) from public.integration_schedules where lease_token is not null and state <> '{}'"
)
HELD = """
select count(*), count(distinct holder) from public.integration_schedules
 where integration_id = %s and slots > 1 and lease_token is not null and connected_to is not null
"""


@dataclass(frozen=True, slots=True)
class Drain:
    """What it was like: rows a second, and seconds from the new integration to its first row.

    `costs` is the CPU time of a message in microseconds, by part; `cores` how many cores all parts kept busy.
    """

    rate: float
    first_row_s: float
    costs: dict[str, float]
    cores: float


@dataclass(slots=True)
class Site:
    """The running stack, and what the benchmarks do with it."""

    report: Report
    connection: psycopg.Connection
    published: int = 0
    lost: int = 0
    duplicated: int = 0
    names: itertools.count[int] = field(default_factory=itertools.count)
    config: dict[str, object] = field(default_factory=dict)
    """What the integrations have beside their broker."""

    def fill(self, port: int, name: str, count: int, devices: int) -> None:
        """Have the broker store messages for the session `name`."""
        subscribe_session(port, name, f"{name}/+/telemetry")
        fill_queue(port, name, range(count), devices)

    def drain(
        self, ports: list[int], count: int, devices: int, watch: Callable[[int], None] = lambda _: None
    ) -> Drain:
        """Have each broker store messages, and the workers that run drain them; then the integrations are removed.

        `watch` is called with the number of rows all the while.
        """
        name = f"drain-{next(self.names)}"
        for port in ports:
            self.fill(port, name, count, devices)
        return self.store(lambda: [self.watch_broker(port, name) for port in ports], count, watch)

    def store(
        self, begin: Callable[[], list[str]], count: int, watch: Callable[[int], None] = lambda _: None
    ) -> Drain:
        """Have workers drain what waits: so much for each of the integrations that `begin` makes."""
        begun, before = time.perf_counter(), read_costs()
        ids = begin()
        total = count * len(ids)
        self._wait_for(ids, total, watch)
        seconds = time.perf_counter() - begun
        used = {part: after - before[part] for part, after in read_costs().items()}
        self._count_rows(ids, count)
        rate, first_row_s = (float(self._read(statement, ids)[0]) for statement in (RATE, FIRST))
        self._remove(ids)
        costs = {part: cpu_seconds / total * 1_000_000 for part, cpu_seconds in used.items()}
        return Drain(rate, first_row_s, costs, sum(used.values()) / seconds)

    def sum_up(self) -> dict[str, float]:
        """What was lost or stored twice, of everything that was drained."""
        return {"published": self.published, "lost": self.lost, "duplicated": self.duplicated}

    def watch_broker(self, port: int, client_id: str) -> str:
        """A new integration, which workers find by themselves; its id."""
        return make_integration(
            self.connection,
            "mqtt",
            broker_url="mqtt://127.0.0.1",
            port=port,
            client_id=client_id,
            topics=f"{client_id}/+/telemetry",
            **self.config,
        )

    def watch_topic(self, servers: str, topic: str, sessions: int = 1) -> str:
        """A new integration that reads a topic from its beginning; its id."""
        return make_integration(
            self.connection,
            "kafka",
            bootstrap_servers=servers.split(","),
            security_protocol="PLAINTEXT",
            topics=[topic],
            start="beginning",
            parallel_sessions=sessions,
        )

    def wait_until_subscribed(self, count: int) -> None:
        """Until sessions of that many integrations have subscribed."""
        wait_until(lambda: self._read(SUBSCRIBED)[0] >= count, DRAIN_SECONDS, "Connecting")

    def share_topic(self, servers: str, topic: str, workers: int, sessions: int = 2) -> str:
        """A new integration whose sessions so many workers have leased and connected; its id."""
        while True:
            integration_id = self.watch_topic(servers, topic, sessions)
            wait_until(lambda: self._read(HELD, integration_id)[0] == sessions, DRAIN_SECONDS, "Connecting")  # noqa: B023
            if self._read(HELD, integration_id)[1] == workers:
                return integration_id
            # One worker has all of them, for another has begun too late.
            self._remove([integration_id])

    def _wait_for(self, ids: list[str], count: int, watch: Callable[[int], None]) -> None:
        def is_done() -> bool:
            rows = int(self._read(COUNT, ids)[0])
            watch(rows)
            return rows >= count

        wait_until(is_done, DRAIN_SECONDS, "Draining")

    def _count_rows(self, ids: list[str], count: int) -> None:
        for integration_id in ids:
            rows, distinct = self._read(KEPT, integration_id)
            self.published += count
            self.lost += count - distinct
            self.duplicated += rows - distinct

    def _remove(self, ids: list[str]) -> None:
        self.connection.execute("delete from public.device_integrations where id = any(%s::uuid[])", [ids])

    def _read(self, statement: str, *values: object) -> tuple[Any, ...]:
        return self.connection.execute(statement.encode(), list(values)).fetchone() or (0,)
