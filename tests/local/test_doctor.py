"""scripts/doctor says what a deployment lacks, with the remedy, and nothing of what is secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.diagnosis.database import look_at_database, look_at_jobs
from scripts.local.stack import ROOT
from tests.ports import find_free_port
from tests.stack import Serve, Stack


def examine(stack: Stack, file: Path, **changed: str) -> tuple[int, str]:
    """The exit code, and what it says, over the environment of the stack with changes."""
    lines = stack.functions_env.read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in changed]
    file.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in changed.items())]))
    url = urlsplit(stack.db_url)
    place = url._replace(netloc=f"{url.username}@{url.hostname}:{url.port}").geturl()
    done = subprocess.run(
        [sys.executable, "-m", "scripts.diagnosis", "--env-file", file, "--db-url", place],
        cwd=ROOT,
        env={**os.environ, "PGPASSWORD": url.password or ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_of_a_stack_that_is_whole_nothing_is_missing(stack: Stack, tmp_path: Path) -> None:
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")

    code, said = examine(stack, tmp_path / "env")

    assert "Nothing is missing." in said, said
    assert code == 0
    for name in (
        "settings",
        "anon key",
        "service key",
        "signing keys",
        "vault keys",
        "migrations",
        "browsers",
    ):
        assert f"ok      {name}:" in said, said
    assert said.count("the function answers") == 5


@pytest.mark.parametrize(
    ("changed", "remedies"),
    [
        ({"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_canary"}, ["SUPABASE_SERVICE_ROLE_KEY is refused"]),
        ({"SUPABASE_ANON_KEY": "sb_publishable_canary"}, ["SUPABASE_ANON_KEY is refused"]),
        ({"SCHEDULER_SECONDS": "canary"}, ["SCHEDULER_SECONDS must be a number of seconds"]),
        ({"SCHEDULER_SECRETS": "canary"}, ["did you mean SCHEDULER_SECRET?"]),
        ({"FUNCTIONS_URL": "http://127.0.0.1:{port}"}, ["is FUNCTIONS_URL right?"]),
        ({"FUNCTIONS_URL": "{url}/functions"}, ["No function is there: supabase functions deploy"]),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    stack: Stack, tmp_path: Path, changed: dict[str, str], remedies: list[str]
) -> None:
    places = {"port": str(find_free_port()), "url": stack.url}
    changes = {name: value.format(**places) for name, value in changed.items()}

    code, said = examine(stack, tmp_path / "env", **changes)

    assert code == 1
    assert all(remedy in said for remedy in remedies), said
    assert "canary" not in said


def test_a_project_without_migrations_is_told_by_key_and_by_history(
    new_serve: Callable[..., Serve], tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    fresh = new_serve("--migrations", str(tmp_path / "none")).start()

    code, said = examine(fresh, tmp_path / "env")

    assert code == 1
    assert "no table integration_schedules: apply the migrations" in said
    assert "are not applied, the first 20261101000100: supabase db push --remote" in said


def test_an_integration_that_nobody_serves_is_told(stack: Stack, tmp_path: Path) -> None:
    with stack.connect() as connection:
        connection.execute(
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            """ values (%s, 'mqtt', 'Overdue', '{"broker_url": "mqtt://127.0.0.1", "topics": "a"}')""",
            (stack.user("admin").organization_id,),
        )
        connection.execute("update integration_schedules set due_at = now() - interval '1 hour'")

    code, said = examine(stack, tmp_path / "env")

    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
    assert code == 1
    assert "no tick or worker has been there" in said


def test_cron_jobs_are_judged_by_their_last_run(stack: Stack) -> None:
    """pg_cron is in no Postgres here; its two tables, as it documents them, are enough to be looked at."""
    with stack.connect() as connection:
        connection.execute(CRON_TABLES)
        found = list(look_at_jobs(connection))
        connection.rollback()

    assert [(finding.name, finding.state) for finding in found] == [
        ("cron job fine", "ok"),
        ("cron job refused", "missing"),
        ("cron job off", "missing"),
        ("cron job new", "unknown"),
    ]


def test_without_a_database_url_it_says_how_to_look() -> None:
    assert {finding.state for finding in look_at_database(None)} == {"unknown"}


CRON_TABLES = b"""
create schema cron;
create table cron.job (jobid bigint, jobname text, active boolean, command text);
create table cron.job_run_details (jobid bigint, status text, return_message text, start_time timestamptz);
insert into cron.job values
    (1, 'fine', true, 'select net.http_post(url := ''https://f/scheduler'')'),
    (2, 'refused', true, 'select net.http_post(url := ''https://f/scheduler'')'),
    (3, 'off', false, 'select net.http_post(url := ''https://f/scheduler'')'),
    (4, 'new', true, 'select net.http_post(url := ''https://f/scheduler'')'),
    (5, 'another', true, 'select 1');
insert into cron.job_run_details values
    (1, 'failed', '', now() - interval '1 minute'), (1, 'succeeded', '1 row', now()),
    (2, 'succeeded', '1 row', now() - interval '1 minute'), (2, 'failed', 'ERROR: no schema net', now());
"""
