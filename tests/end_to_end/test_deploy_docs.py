"""docs/deploy.md: its commands and examples work, as far as a machine without the hosted services can tell."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from scripts.deployment.services import WORKER, list_functions
from scripts.deployment.variables import DOCUMENT, insert_table
from scripts.local.stack import ROOT
from shared.runtime.settings import list_variables
from tests.documents import read_blocks
from tests.stack import Serve, Stack

TEXT = DOCUMENT.read_text()
NOT_IN_COMPOSE = {"GOOGLE_CLOUD_PROJECT", "SCHEDULER_SECRET", "SCHEDULER_SECONDS", "MEMORY_MB"}
INCLUDE_ALL = "--include-all"


def run_shell(code: str, environment: dict[str, str], folder: Path = ROOT) -> str:
    """The output of a block run as it stands."""
    done = subprocess.run(
        ["bash", "-euc", code], cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def reach(stack: Stack, node_modules: Path | None = None) -> dict[str, str]:
    """What the blocks expect in the environment of the shell."""
    url = urlsplit(stack.db_url)
    path = f"{node_modules / '.bin'}{os.pathsep}{os.environ['PATH']}" if node_modules else os.environ["PATH"]
    return {
        "PATH": path, "PGHOST": url.hostname or "", "PGPORT": str(url.port), "PGPASSWORD": url.password or "",
        "PGSSLMODE": "prefer", "SUPABASE_URL": stack.url, "SUPABASE_ANON_KEY": stack.anon_key,
    }  # fmt: skip


def test_the_table_of_settings_is_that_of_the_model() -> None:
    assert insert_table(TEXT) == TEXT


def test_the_first_key_and_the_schedulers_secret_can_be_made(tmp_path: Path) -> None:
    copy, private, *making = read_blocks(DOCUMENT, "console", "1. ")[0].replace("$ ", "").splitlines()
    unset = {variable.name: "" for variable in list_variables()}

    run_shell(f"{copy} {tmp_path}/production.env".replace(" production.env ", " "), {})
    told = run_shell("\n".join(making), unset)

    assert private == "chmod 600 production.env"
    assert re.search(r'INTEGRATION_KEYS="k1:[A-Za-z0-9_-]{43}"', told)
    assert re.search(r"^[A-Za-z0-9_-]{43}$", told, re.MULTILINE)


def test_the_migrations_are_pushed_from_nothing_and_with_the_secret_of_the_cron_job(
    new_serve: Callable[..., Serve], node_modules: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    fresh = new_serve("--migrations", str(tmp_path / "none")).start()
    shutil.copytree(ROOT / "supabase", tmp_path / "supabase")
    block, _ = read_blocks(DOCUMENT, "sh", "2. ")
    secret = {"SCHEDULER_SECRET": "canary-scheduler-secret"}

    said = run_shell(block, reach(fresh, node_modules) | secret, tmp_path)

    assert "Finished supabase db push" in said
    assert "canary" not in said
    with fresh.connect() as connection:
        kept = connection.execute(
            "select decrypted_secret from vault.decrypted_secrets where name = 'scheduler_secret'"
        )
        assert kept.fetchall() == [("canary-scheduler-secret",)]


def test_beside_a_platforms_own_migrations_both_histories_stay_whole(
    new_serve: Callable[..., Serve], node_modules: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    fresh, platform = new_serve("--migrations", str(tmp_path / "none")).start(), tmp_path / "platform"
    own = {"20250101000000_first": "create table public.things (id int);", "20990101000000_last": "select 1;"}
    (platform / "supabase" / "migrations").mkdir(parents=True)
    for name, statement in own.items():
        (platform / "supabase" / "migrations" / f"{name}.sql").write_text(statement)
    shutil.copytree(ROOT / "supabase", tmp_path / "ours" / "supabase")
    environment = reach(fresh, node_modules) | {"PLATFORM": str(platform)}
    alone, copied = read_blocks(DOCUMENT, "sh", "2. ")
    run_shell(copied.splitlines()[1].replace(INCLUDE_ALL, ""), environment, tmp_path)

    with pytest.raises(AssertionError, match="migration repair --status reverted 20250101000000"):
        run_shell(alone, environment, tmp_path / "ours")
    run_shell(copied, environment)

    with fresh.connect() as connection:
        rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
    ours = {file.name.partition("_")[0] for file in (ROOT / "supabase" / "migrations").glob("*.sql")}
    assert {version for (version,) in rows} == ours | {name.partition("_")[0] for name in own}


@pytest.mark.parametrize("line", [line for line in TEXT.splitlines() if line.startswith("$ supabase ")])
def test_the_supabase_cli_knows_each_command_and_flag(node_modules: Path, line: str) -> None:
    words = shlex.split(line.removesuffix("†").removeprefix("$ "))
    command = [word for word in words if word.isalpha()][:3]
    known = subprocess.run(
        [node_modules / ".bin" / "supabase", *command[1:], "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert f"supabase {' '.join(command[1:])}" in known
    assert all(word.partition("=")[0] in known for word in words if word.startswith("--"))


def test_cloud_run_is_shown_as_it_would_be_deployed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "production.env.example", tmp_path / "production.env")
    filled = (tmp_path / "production.env").read_text()
    values = {
        "ANON_KEY": "sb_publishable_a",
        "SERVICE_ROLE_KEY": "sb_secret_a",
        "INTEGRATION_KEYS": f"k1:{'A' * 43}",
    }
    for name, value in (values | {"SCHEDULER_SECRET": "it's #1, a long secret"}).items():
        filled = filled.replace(f"{name}=\n", f"{name}={value}\n")
    (tmp_path / "production.env").write_text(filled)
    (command,) = (block for block in read_blocks(DOCUMENT, "console", "3. ") if "scripts/deploy" in block)

    shown = run_shell(command.removeprefix("$ ").replace("production.env", f"{tmp_path}/production.env"), {})

    assert shown.count("gcloud run deploy") == len(list_functions(ROOT / "functions"))


def test_compose_gives_each_service_the_variables_it_reads_and_no_others() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    assert services.keys() == {
        f"device-integrations-{name}"
        for name in [*list_functions(ROOT / "functions"), WORKER]
        if name != "scheduler"
    }
    for name, service in services.items():
        function = name.removeprefix("device-integrations-")
        wanted = {
            variable.name for variable in list_variables() if function in variable.used_by
        } - NOT_IN_COMPOSE
        own = {"FUNCTION_SOURCE", "FUNCTION_TARGET", "THREADS"} if function != WORKER else set()
        assert service["environment"].keys() == wanted | own, name
        if function != WORKER:
            assert (ROOT / service["environment"]["FUNCTION_SOURCE"]).exists()
            assert service["environment"]["FUNCTION_TARGET"] == function.replace("-", "_")


def test_the_cron_job_posts_a_short_tick_with_the_secret_of_the_vault(stack: Stack) -> None:
    """pg_cron and pg_net are in no Postgres here: their functions, as they are documented, write down what they get."""
    (block,) = read_blocks(DOCUMENT, "sql", "4. ")
    extensions, statement = block.split("select cron", 1)

    with stack.connect() as connection:
        connection.execute(CRON_STAND_IN)
        connection.execute("select vault.create_secret('canary', 'scheduler_secret')")
        connection.execute(f"select cron{statement}".encode())
        (job,) = connection.execute("select command from cron.made").fetchall()
        connection.execute(job[0].encode())
        (sent,) = connection.execute(
            "select url, headers, body, timeout_milliseconds from net.sent"
        ).fetchall()
        connection.rollback()

    assert "pg_cron" in extensions
    assert "pg_net" in extensions
    assert sent[0] == "https://<scheduler>/scheduler"
    assert sent[1]["X-Scheduler-Secret"] == "canary"
    assert sent[2]["seconds"] * 1000 < sent[3]


@pytest.mark.parametrize(("ago", "alarms"), [("3 minutes", 0), ("5 minutes", 1), (None, 1)])
def test_the_cron_job_of_the_runbook_raises_the_alarm_of_a_silent_scheduler(
    stack: Stack, ago: str | None, alarms: int
) -> None:
    (block,) = read_blocks(DOCUMENT.with_name("operations.md"), "sql", "Is anybody at work?")

    with stack.connect() as connection:
        connection.execute(CRON_STAND_IN)
        connection.execute(block.encode())
        (job,) = connection.execute("select command from cron.made").fetchall()
        connection.execute("delete from private.heartbeats")
        if ago:
            connection.execute(
                "insert into private.heartbeats"
                " values ('old', now() - interval '1 day'), ('jobs', now() - %s::interval)",
                (ago,),
            )
        connection.execute(job[0].encode())
        sent = connection.execute("select url, body ->> 'text' from net.sent").fetchall()
        connection.rollback()

    assert sent == [("https://ops.example.com/alarm", "The scheduler is silent.")] * alarms


def test_the_load_balancer_has_a_way_to_every_function_of_frontends_and_senders() -> None:
    (block,) = read_blocks(DOCUMENT, "yaml", "5. ")
    (matcher,) = yaml.safe_load(block)["pathMatchers"]
    targets = {rule["service"].rpartition("/")[2] for rule in matcher["pathRules"]} | {
        matcher["defaultService"].rpartition("/")[2]
    }

    assert targets == {
        f"device-integrations-{name}" for name in list_functions(ROOT / "functions") if name != "scheduler"
    }


def test_it_ends_with_a_first_message(stack: Stack, tmp_path: Path) -> None:
    (block,) = read_blocks(DOCUMENT, "sh", "7. ")
    owner = stack.user("stranger")
    (tmp_path / "sign-in.json").write_text(json.dumps({"email": owner.email, "password": owner.password}))

    said = run_shell(block, reach(stack), tmp_path)

    with psycopg.connect(stack.db_url) as connection:
        connection.execute(
            "delete from organizations where id in"
            " (select organization_id from organization_members where user_id = %s)",
            (owner.id,),
        )
    assert '"stored":1' in said
    assert '[{"kind":"telemetry","payload":{"temperature": 21.5}}]' in said


def test_what_the_operator_sets_in_the_database_is_there_to_be_set(stack: Stack) -> None:
    own = str(stack.user("owner").organization_id)
    settings, start = read_blocks(DOCUMENT, "sql", "What the operator")
    with psycopg.connect(stack.db_url) as connection:
        changed = [
            connection.execute(statement.replace("<organization>", own).encode()).rowcount
            for statement in re.sub(r"--.*", "", settings).strip().split(";")
            if statement.strip()
        ]
        made = connection.execute(
            start.replace("you@example.com", stack.user("stranger").email).encode()
        ).fetchone()
        connection.rollback()

    assert changed == [1] * len(changed)
    assert made is not None


CRON_STAND_IN = b"""
create schema cron;
create schema net;
create table cron.made (name text, schedule text, command text);
create table net.sent (url text, headers jsonb, body jsonb, timeout_milliseconds int);
create function cron.schedule(job_name text, schedule text, command text) returns void language sql
    as $$ insert into cron.made values (job_name, schedule, command) $$;
create function net.http_post(
    url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{}',
    timeout_milliseconds int default 5000
) returns void language sql
    as $$ insert into net.sent values (url, headers, body, timeout_milliseconds) $$;
"""
