"""How many deliveries a second go out over HTTP: leased, signed, sent, recorded; beside the same client posting bare.

Everything runs on loopback, the endpoint in a process of its own, the dispatcher in this one, each call to the database
through /rest/v1. The interpreter is set as in a worker, for both of what is compared. `rate` is deliveries over the
time from the first lease to the last record; `bare_rate` is what a session of aiohttp's posts of the same size with as
many requests at once; they take turns, and medians are compared. `dispatcher_us`, `postgres_us` and `rest_us` are the
CPU time of each for a delivery, `bare_us` that of a bare post: on two cores what both share bounds the ratio, on more
the dispatcher's interpreter. `hang_p99_ratio` is the 99th percentile from queued to answered of 50 healthy webhooks
beside one that never answers, over the same without it, by turns too.
`full_lease_ratio` is a lease with 1,000,000 deliveries of one webhook waiting over one with 10,000,
`full_lease_ratio_1000` with these shared out over 1,000 webhooks (not in --quick). `idle_cpu` is the share of one core
that waiting takes. `at_once_ms` and `polled_ms` are the median from queued to sent where the dispatcher is told, and
where it looks; `tick_ms` where nothing runs and the scheduler is called at once.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import httpx
import psycopg
from psycopg.types.json import Jsonb

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._costs import read_costs
from scripts.benchmarks._endpoint import start_endpoint
from scripts.benchmarks._leases import compare_leases
from scripts.benchmarks._messages import make_batch
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import as_owner, connect_service, make_integration
from scripts.local.stack import Report
from shared.deliveries import dispatch_deliveries, set_collector
from shared.integrations.sealing import seal_secrets
from shared.provider import Identity, load_provider, name_secrets, split_config
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from shared.runtime.settings import load_settings
from shared.runtime.vault.keys import make_key
from shared.scheduler.worker import SWITCH_SECONDS

REACH = {
    "rate": "≥ 4,000/s",
    "ratio": "≥ 0.75",
    "hang_p99_ratio": "< 2",
    "full_lease_ratio": "about 1",
    "full_lease_ratio_1000": "about 1",
    "idle_cpu": "next to nothing",
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the standard's examples
WEBHOOKS, HEALTHY = 10, 50
BARE, BATCHES = 15_000, 5
AT_ONCE = 100
BODY_BYTES = 600
IDLE_SECONDS, PATIENCE_SECONDS = 1.0, 120.0
TICK_SECONDS = 3
TICK = {"seconds": TICK_SECONDS, "idle_seconds": 0.2}
INGEST = "select public.ingest_messages(%s, %s)"
LATENCY = """
select extract(epoch from a.started_at + make_interval(secs => %s * a.milliseconds / 1000.0) - d.created_at) * 1000
  from public.webhook_attempts a join public.webhook_deliveries d on d.id = a.delivery_id
 where d.integration_id = any (%s::uuid[])
"""
WAITING = "select from public.webhook_deliveries where status in ('pending', 'delivering') limit 1"
CONFIGURE = "update public.device_integrations set settings = %s, secret_names = %s where id = %s"
SEAL = "select private.write_seals(%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Run:
    """Requests a second, and the CPU time in microseconds that each took of every part."""

    rate: float
    costs: dict[str, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """What each part of the benchmark is played on."""

    bench: Bench
    connection: psycopg.Connection
    organization_id: str
    url: str
    stack: Report

    def add_webhooks(self, count: int, path: str = "/hook") -> list[str]:
        """New webhooks with a signing secret; their ids."""
        return [self._add_webhook(path) for _ in range(count)]

    def _add_webhook(self, path: str) -> str:
        row_id = make_integration(self.connection, "webhook")
        config = {"url": self.url + path, "signing_secret": SECRET, "max_concurrent": AT_ONCE}
        identity = Identity(self.organization_id, row_id, "webhook", "bench")
        provider = load_provider(config | {"rate_limit_per_minute": 1_000_000}, identity)
        settings, secrets = split_config(provider)
        self.connection.execute(CONFIGURE, (Jsonb(settings), name_secrets(secrets), row_id))
        sealed = seal_secrets(identity, settings, secrets, 1)
        with as_owner(self.connection):
            self.connection.execute(SEAL, (self.organization_id, row_id, Jsonb(sealed)))
        return row_id

    def clear(self) -> None:
        """No webhooks and no deliveries."""
        self.connection.execute("delete from public.device_integrations")
        self.connection.execute("delete from public.webhook_deliveries")

    def has_work(self) -> bool:
        """Whether a delivery waits or is under way."""
        return self.connection.execute(WAITING).fetchone() is not None

    def read_latencies(self, webhooks: list[str], *, answered: bool) -> list[float]:
        """Milliseconds from queued to sent, or to answered, of every attempt."""
        rows = self.connection.execute(LATENCY, [int(answered), webhooks]).fetchall()
        return [float(row[0]) for row in rows]


def measure(bench: Bench) -> Numbers:
    """Each part on an empty queue."""
    sys.setswitchinterval(SWITCH_SECONDS)
    set_collector()
    with bench.step("Starting a stack"), _set_scene(bench) as scene:
        numbers = _compare_rates(scene) | _compare_hanging(scene)
        numbers |= {
            "idle_cpu": _measure_idle(scene),
            "at_once_ms": _measure_wait(scene, tell=True),
            "polled_ms": _measure_wait(scene, tell=False),
            "tick_ms": _measure_tick(scene),
        }
        return numbers | ({} if bench.quick else _compare_leases(scene))


@contextmanager
def _set_scene(bench: Bench) -> Iterator[Scene]:
    os.environ.setdefault("INTEGRATION_KEYS", make_key("bench"))
    with start_stack() as report, start_endpoint() as url, connect_service(report) as connection:
        set_environment(report)
        row = connection.execute("select id::text from public.organizations order by name limit 1").fetchone()
        yield Scene(bench, connection, row[0] if row else "", url, report)


def set_environment(report: Report) -> None:
    """Have this process deliver for the stack."""
    os.environ |= {
        "SUPABASE_URL": report.url,
        "SUPABASE_SERVICE_ROLE_KEY": report.service_role_key,
        "OUTBOUND_ALLOW": "127.0.0.0/8",
    }
    load_settings.cache_clear()


def _compare_rates(scene: Scene) -> Numbers:
    bare: list[Run] = []
    runs: list[Run] = []
    for _ in scene.bench.track("Posting bare, and delivering", scene.bench.rounds(7, 3)):
        bare.append(asyncio.run(_post_all(scene.url, scene.bench.size(BARE))))
        runs.append(_deliver_all(scene))
    rate, bare_rate = (statistics.median(run.rate for run in each) for each in (runs, bare))
    costs = {
        f"{part}_us": statistics.median(run.costs[part] for run in runs)
        for part in ("dispatcher", "postgres", "rest")
    }
    bare_us = statistics.median(run.costs["dispatcher"] for run in bare)
    return {"rate": rate, "bare_rate": bare_rate, "ratio": rate / bare_rate, "bare_us": bare_us, **costs}


async def _post_all(url: str, count: int) -> Run:
    left = iter(range(count))
    body = os.urandom(BODY_BYTES // 2).hex().encode()

    async def post_some(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(f"{url}/hook", data=body) as reply:
                await reply.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begun, before = time.perf_counter(), _read_costs()
        await asyncio.gather(*(post_some(session) for _ in range(AT_ONCE)))
        return _sum_up(count, time.perf_counter() - begun, before)


def _read_costs() -> dict[str, float]:
    return read_costs() | {"dispatcher": time.process_time()}


def _sum_up(count: int, seconds: float, before: dict[str, float]) -> Run:
    costs = {part: (spent - before[part]) / count * 1_000_000 for part, spent in _read_costs().items()}
    return Run(count / seconds, costs)


def measure_rate(scene: Scene) -> float:
    """How many deliveries a second go out, on a queue of its own."""
    return _deliver_all(scene).rate


def _deliver_all(scene: Scene) -> Run:
    webhooks = scene.add_webhooks(scene.bench.size(WEBHOOKS))
    source = make_integration(scene.connection, "mqtt")
    batches = scene.bench.size(BATCHES)
    for _ in range(batches):
        scene.connection.execute(INGEST, [source, make_batch(100).decode()])
    total = batches * 500 * len(webhooks)
    before = _read_costs()
    run = _sum_up(total, asyncio.run(_dispatch_all(scene, total)), before)
    scene.clear()
    return run


async def _dispatch_all(scene: Scene, total: int) -> float:
    """The seconds until the last of them was recorded."""
    deadline, pulse, begun = Deadline(600), Pulse(), time.perf_counter()
    run = asyncio.create_task(dispatch_deliveries(as_service(), deadline, pulse))
    await asyncio.to_thread(_wait_until_done, scene, pulse)
    ended = time.perf_counter() - pulse.idle_seconds()
    deadline.shorten()
    counts = await run
    if counts["delivered"] != total:
        raise RuntimeError(f"Of {total} deliveries the dispatcher says: {dict(counts)}")
    return ended - begun


def _wait_until_done(scene: Scene, pulse: Pulse) -> None:
    """Until nothing has happened for a moment, and nothing is left: a busy machine may pause, too."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while pulse.idle_seconds() < IDLE_SECONDS or (scene.has_work() and time.monotonic() < ends):
        time.sleep(0.05)


def _compare_hanging(scene: Scene) -> Numbers:
    alone, beside = [], []
    for _ in scene.bench.track(
        f"{HEALTHY} healthy webhooks, without and with one that hangs", scene.bench.rounds(5, 3)
    ):
        alone.append(_measure_p99(scene, hanging=0))
        beside.append(_measure_p99(scene, hanging=1))
    p99_ms, hang_p99_ms = statistics.median(alone), statistics.median(beside)
    return {"hang_p99_ratio": hang_p99_ms / p99_ms, "p99_ms": p99_ms, "hang_p99_ms": hang_p99_ms}


def _measure_p99(scene: Scene, hanging: int) -> float:
    scene.add_webhooks(hanging, "/hang")
    webhooks = scene.add_webhooks(scene.bench.size(HEALTHY))
    source = make_integration(scene.connection, "mqtt")
    asyncio.run(_dispatch_beside(scene, source, webhooks, scene.bench.rounds(20, 6)))
    latencies = scene.read_latencies(webhooks, answered=True)
    scene.clear()
    return statistics.quantiles(latencies, n=100)[-1]


async def _dispatch_beside(scene: Scene, source: str, webhooks: list[str], moments: int) -> None:
    deadline, pulse = Deadline(0.25 * moments + PATIENCE_SECONDS), Pulse()
    run = asyncio.create_task(dispatch_deliveries(as_service(), deadline, pulse))
    for _ in range(moments):
        await asyncio.sleep(0.25)
        await asyncio.to_thread(_say_something, scene, source, 2)
        pulse.tell_queued()
    await asyncio.sleep(1.5)
    await asyncio.to_thread(_wait_for_answers, scene, webhooks, deadline)
    deadline.shorten()
    await run


def _wait_for_answers(scene: Scene, webhooks: list[str], deadline: Deadline) -> None:
    while not deadline.expired and not scene.read_latencies(webhooks, answered=True):
        time.sleep(0.25)


def _say_something(scene: Scene, source: str, count: int) -> None:
    said = [
        {"event_id": str(uuid.uuid4()), "device": "a", "kind": "telemetry", "payload": {"temperature": 21.5}}
        for _ in range(count)
    ]
    scene.connection.execute(INGEST, [source, Jsonb(said)])


def _measure_idle(scene: Scene, seconds: float = 3.0) -> float:
    async def wait() -> None:
        await dispatch_deliveries(as_service(), Deadline(seconds), Pulse())

    with scene.bench.step("Waiting"):
        begun = time.process_time()
        asyncio.run(wait())
        return (time.process_time() - begun) / seconds


def _measure_wait(scene: Scene, *, tell: bool) -> float:
    webhooks = scene.add_webhooks(1)
    source = make_integration(scene.connection, "mqtt")

    async def say_and_wait() -> None:
        deadline, pulse = Deadline(60), Pulse()
        run = asyncio.create_task(dispatch_deliveries(as_service(), deadline, pulse))
        for turn in range(scene.bench.rounds(60, 7)):
            await asyncio.sleep(0.3 + turn % 7 * 0.037)
            await asyncio.to_thread(_say_something, scene, source, 1)
            if tell:
                pulse.tell_queued()
        await asyncio.sleep(0.5)
        deadline.shorten()
        await run

    with scene.bench.step("Queued to sent, told" if tell else "Queued to sent, polled"):
        asyncio.run(say_and_wait())
    latencies = scene.read_latencies(webhooks, answered=False)
    scene.clear()
    return statistics.median(latencies)


def _measure_tick(scene: Scene) -> float:
    webhooks = scene.add_webhooks(1)
    source = make_integration(scene.connection, "mqtt")
    headers = {"X-Scheduler-Secret": scene.stack.scheduler_secret}
    for _ in scene.bench.track("Queued to sent, by ticks", scene.bench.rounds(20, 5)):
        _say_something(scene, source, 1)
        tick = httpx.post(
            f"{scene.stack.url}/functions/v1/scheduler", json=TICK, headers=headers, timeout=TICK_SECONDS + 30
        )
        tick.raise_for_status()
    latencies = scene.read_latencies(webhooks, answered=False)
    scene.clear()
    return statistics.median(latencies)


def _compare_leases(scene: Scene) -> Numbers:
    numbers = {}
    for count, name in ((1, "full_lease_ratio"), (1_000, "full_lease_ratio_1000")):
        with scene.bench.step(f"A lease among 10,000 and among 1,000,000 of {count:,} webhooks"):
            numbers[name] = compare_leases(scene.connection, scene.add_webhooks(count))
        scene.clear()
    return numbers
