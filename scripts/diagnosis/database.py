"""The database from inside, where it may be looked at: migrations, extensions, cron jobs and their last runs."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from scripts.diagnosis.finding import Finding
from scripts.local.migrations import list_migrations
from scripts.local.stack import ROOT

HOW = "Give --db-url postgresql://postgres@HOST:5432/postgres, and its password in PGPASSWORD."
CRON_PROBLEM = "a worker or Cloud Scheduler has to do the work"
SECONDS = 15


def look_at_database(url: str | None) -> Iterator[Finding]:
    """All of it; unknown where there is no `url`."""
    if not url:
        yield Finding("migrations", "unknown", HOW)
        yield Finding("cron", "unknown", HOW)
        return
    try:
        with psycopg.connect(url, connect_timeout=SECONDS, autocommit=True) as connection:
            connection.execute("set statement_timeout = '15s'")
            yield _compare_migrations(connection)
            yield from _look_at_cron(connection)
    except psycopg.OperationalError as error:
        reason = str(error).splitlines()[0]
        yield Finding("database", "missing", f"It can't be connected to: {reason}. {HOW}")


def _compare_migrations(connection: psycopg.Connection) -> Finding:
    wanted = {migration.version for migration in list_migrations(ROOT / "supabase" / "migrations")}
    try:
        rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
    except psycopg.errors.UndefinedTable:
        rows = []
    missing = sorted(wanted - {version for (version,) in rows})
    if missing:
        return Finding(
            "migrations",
            "missing",
            f"{len(missing)} of {len(wanted)} are not applied, the first {missing[0]}: supabase db push --remote.",
        )
    return Finding("migrations", "ok", f"all {len(wanted)} applied")


def _look_at_cron(connection: psycopg.Connection) -> Iterator[Finding]:
    installed = {name for (name,) in connection.execute("select extname from pg_extension").fetchall()}
    if "pg_cron" not in installed:
        yield Finding("cron", "ok", f"pg_cron is not installed: {CRON_PROBLEM}")
        return
    yield from look_at_jobs(connection)


def look_at_jobs(connection: psycopg.Connection) -> Iterator[Finding]:
    """The jobs of pg_cron that call /scheduler, each judged by its last run."""
    jobs = connection.execute(
        "select jobid, jobname, active from cron.job where command like '%/scheduler%' order by jobid"
    ).fetchall()
    if not jobs:
        yield Finding("cron", "ok", f"no job calls /scheduler: {CRON_PROBLEM}")
    for number, name, active in jobs:
        yield _judge_job(connection, number, name or str(number), active=active)


def _judge_job(connection: psycopg.Connection, number: int, name: str, *, active: bool) -> Finding:
    if not active:
        return Finding(
            f"cron job {name}", "missing", "It is switched off: select cron.alter_job(jobid, active => true)."
        )
    run = connection.execute(
        "select status, left(return_message, 200), start_time from cron.job_run_details"
        " where jobid = %s order by start_time desc limit 1",
        (number,),
    ).fetchone()
    if run is None:
        return Finding(f"cron job {name}", "unknown", "It has not run yet.")
    told = f"last run {run[2]:%Y-%m-%d %H:%M:%S %Z}: {run[0]}, {run[1]}"
    return Finding(f"cron job {name}", "ok" if run[0] in {"succeeded", "running"} else "missing", told)
