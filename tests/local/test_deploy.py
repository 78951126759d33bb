"""scripts/deploy runs the right programs with the right variables, and shows no secret while it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.local.stack import ROOT

ENVIRONMENT = """
# production
SUPABASE_URL=https://project.example.com
SUPABASE_ANON_KEY=anon
SUPABASE_SERVICE_ROLE_KEY=canary-service-key
SCHEDULER_SECRET='canary scheduler secret'
INTEGRATION_KEYS=k1:canary-integration-key
SCHEDULER_SECONDS=40
"""
PROGRAM = """#!/usr/bin/env python3
import json, os, sys
file = sys.argv[sys.argv.index("--env-vars-file") + 1] if "--env-vars-file" in sys.argv else None
variables = json.load(open(file)) if file else None
mode = os.stat(file).st_mode & 0o777 if file else None
with open(os.environ["DEPLOY_LOG"], "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:], variables, mode]) + "\\n")
sys.exit(int(os.environ.get("DEPLOY_EXIT", "0")))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stand-ins for the programs of the clouds, which write down how they were called; and an environment file."""
    for name in ("docker", "gcloud", "supabase"):
        (tmp_path / name).write_text(PROGRAM)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "production.env").write_text(ENVIRONMENT)
    return tmp_path


def deploy(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    fixed = [
        "--env-file",
        str(folder / "production.env"),
        "--image",
        "registry.example.com/di:1",
        "--region",
        "r1",
    ]
    own = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "DEPLOY_LOG": str(folder / "log")}
    return subprocess.run(
        [sys.executable, "-m", "scripts.deployment", *fixed, *arguments],
        cwd=ROOT, env=os.environ | own | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def list_calls(folder: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_it_migrates_builds_pushes_and_deploys_every_function(folder: Path) -> None:
    done = deploy(folder, "--db-url", "postgresql://canary-password@db.example.com/postgres")

    calls = list_calls(folder)
    functions = {file.stem for file in (ROOT / "functions").glob("*.py")} - {"__init__"}
    assert done.returncode == 0, done.stderr
    assert [call[:2] for call in calls[:3]] == [["supabase", "db"], ["docker", "build"], ["docker", "push"]]
    assert {call[-2]["FUNCTION_TARGET"] for call in calls[3:]} == functions
    assert {call[-1] for call in calls[3:]} == {0o600}


def test_each_service_gets_what_it_needs_and_the_service_key_goes_to_no_function_of_users(
    folder: Path,
) -> None:
    deploy(folder)

    given = {call[-2]["FUNCTION_TARGET"]: call[-2] for call in list_calls(folder) if call[0] == "gcloud"}
    assert given["scheduler"]["SCHEDULER_SECRET"] == "canary scheduler secret"
    assert "SUPABASE_SERVICE_ROLE_KEY" in given["scheduler"]
    assert not {"SUPABASE_SERVICE_ROLE_KEY", "SCHEDULER_SECRET"} & (
        given["integrations"].keys() | given["commands"].keys()
    )
    assert "INTEGRATION_KEYS" not in given["commands"]


def test_keys_in_supabase_vault_are_read_with_the_service_key(folder: Path) -> None:
    file = folder / "production.env"
    file.write_text(ENVIRONMENT.replace("INTEGRATION_KEYS=k1:canary-integration-key", ""))

    deploy(folder)

    given = {call[-2]["FUNCTION_TARGET"]: call[-2] for call in list_calls(folder) if call[0] == "gcloud"}
    assert "SUPABASE_SERVICE_ROLE_KEY" in given["integrations"]
    assert "SUPABASE_SERVICE_ROLE_KEY" not in given["commands"]


def test_a_tick_has_time_to_end(folder: Path) -> None:
    deploy(folder)

    (scheduler,) = [call for call in list_calls(folder) if "device-integrations-scheduler" in call]
    assert scheduler[scheduler.index("--timeout") + 1] == "55"


def test_a_dry_run_runs_nothing_and_nothing_shown_is_a_secret(folder: Path) -> None:
    done = deploy(folder, "--dry-run", "--db-url", "postgresql://canary-password@db.example.com/postgres")

    assert done.returncode == 0
    assert not (folder / "log").exists()
    assert "gcloud run deploy device-integrations-integrations" in done.stdout
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SUPABASE_URL=x\n", "does not set SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY, SCHEDULER_SECRET"),
        ("canary-not-a-line\n", "Line 1"),
    ],
)
def test_a_wrong_environment_is_told_before_anything_is_run(folder: Path, text: str, said: str) -> None:
    (folder / "production.env").write_text(text)

    done = deploy(folder)

    assert done.returncode == 1
    assert said in done.stderr
    assert "canary" not in done.stderr
    assert not (folder / "log").exists()


def test_a_program_that_fails_ends_it(folder: Path) -> None:
    done = deploy(folder, DEPLOY_EXIT="3")

    assert done.returncode == 1
    assert "docker ended with 3" in done.stderr
    assert len(list_calls(folder)) == 1
