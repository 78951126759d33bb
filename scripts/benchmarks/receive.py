"""How many pushed messages a second are answered once they are committed, and what a crash of Postgres costs.

Senders post JSON of about 90 bytes from 100 devices as Golioth's pipelines do, one message a request, over 64 kept
connections, to the receiver, served by itself as the image serves it, beside a local stack: all to one integration for
`rate`, to ten for `rate_10`. In another run a backend of Postgres is killed halfway, so that Postgres ends all others
and recovers; senders are told 503 and try again. `bare_rate` is the same posts to a path that the function does not
have: what it costs to be answered at all. `lost` and `duplicated` compare what was accepted with the rows, over all
runs; `again` counts second tries.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from dataclasses import dataclass, replace
from http import HTTPStatus

import psycopg

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._caller import sign_in
from scripts.benchmarks._posters import Tally, Task, begin_posting, finish_posting, post_all
from scripts.benchmarks._receiver import serve_function, share_keys
from scripts.benchmarks._scratch import start_stack
from scripts.benchmarks._service import connect_service
from scripts.local.stack import Report

REACH = {"rate": "≥ 1,000 posts/s", "lost": "0", "duplicated": "0"}
PROJECT = "bench"
CONNECTIONS = 64
RECEIVER = "golioth_webhook"
RECEIVE = "/functions/v1/golioth-webhook"
BARE = f"{RECEIVE}/no/such/path"


@dataclass(frozen=True, slots=True)
class Site:
    """A stack with a number of Golioth integrations of one secret; `path` → receivers."""

    report: Report
    url: str
    """Of the receiver."""
    secret: str
    paths: list[str]

    def make_task(self, paths: list[str], count: int) -> Task:
        """Posts nobody has seen before."""
        return Task(self.url, paths, self.secret, PROJECT, uuid.uuid4().hex, count, CONNECTIONS)


def measure(bench: Bench) -> Numbers:
    """All runs on one stack."""
    size = bench.rounds(60_000, 8_000)
    share_keys()
    with bench.step("Starting a stack"), start_stack() as report, serve_function(report, RECEIVER) as url:
        site = _make_site(report, url)
        before = _count_rows(report)
        post_all(site.make_task(site.paths, 500))
        with bench.step("A path that is not there"):
            bare = post_all(replace(site.make_task([BARE], size), expected=HTTPStatus.NOT_FOUND))
        with bench.step("One integration"):
            one = post_all(site.make_task(site.paths[:1], size))
        with bench.step("Ten integrations"):
            ten = post_all(site.make_task(site.paths, size))
        with bench.step("A crash of Postgres"):
            crashed = _post_over_crash(site, size)
        tallies = (one, ten, crashed)
        rows, distinct = (after - known for after, known in zip(_count_rows(report), before, strict=True))
        accepted = 500 + sum(tally.accepted for tally in tallies)
        return {
            "rate": one.accepted / one.seconds,
            "lost": accepted - distinct,
            "duplicated": rows - distinct,
            "bare_rate": bare.accepted / bare.seconds,
            "ratio": (one.accepted / one.seconds) / (bare.accepted / bare.seconds),
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
            "rate_10": ten.accepted / ten.seconds,
            "crash_rate": crashed.accepted / crashed.seconds,
            "again": sum(tally.again for tally in tallies),
        }


def _make_site(report: Report, url: str) -> Site:
    admin = next(user for user in report.users if user.role == "admin")
    caller, secret = sign_in(report, admin), uuid.uuid4().hex
    config = {"api_key": "bench", "project_id": PROJECT, "webhook_secret": secret}
    paths = []
    for number in range(10):
        body = {
            "organization_id": admin.organization_id,
            "integration_type": "golioth",
            "name": f"Bench {number}",
        }
        made = caller.call("POST", "/functions/v1/integrations", body | {"config": config}).body
        paths.append(f"{RECEIVE}/{made['integration']['id']}")
    return Site(report, url, secret, paths)


def _post_over_crash(site: Site, size: int) -> Tally:
    posting = begin_posting(site.make_task(site.paths[:1], size))
    with connect_service(site.report) as connection:
        already = _count_messages(connection)
        while _count_messages(connection) < already + size // 2:
            time.sleep(0.05)
        backend = connection.execute("select pg_backend_pid()").fetchone()
        os.kill(backend[0] if backend else 0, signal.SIGKILL)
    return finish_posting(posting)


def _count_messages(connection: psycopg.Connection) -> int:
    row = connection.execute("select sum(stored) from public.integration_metrics").fetchone()
    return int(row[0] or 0) if row else 0


def _count_rows(report: Report) -> tuple[int, int]:
    """Messages, and how many of them are distinct."""
    counting = "select count(*), count(distinct (integration_id, event_id)) from public.device_messages"
    with connect_service(report) as connection:
        rows, distinct = connection.execute(counting).fetchone() or (0, 0)
    return rows, distinct
