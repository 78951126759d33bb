"""scripts/deploy runs the right programs with the right variables, and shows no secret while it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.deployment.environment import read_environment
from scripts.local.stack import ROOT

KEY = "canaryintegrationkey" + "A" * 23
ENVIRONMENT = f"""
# production
SUPABASE_URL=https://project.example.com
SUPABASE_ANON_KEY=anon
export SUPABASE_SERVICE_ROLE_KEY=canary-service-key
SCHEDULER_SECRET='canary scheduler secret'
INTEGRATION_KEYS=k1:{KEY}
SCHEDULER_SECONDS=40
"""
# Keeps secrets as the cloud does, in files beside its log; knows of a scheduler job where there is a file of its name.
PROGRAM = """#!/usr/bin/env python3
import json, os, sys
place, argv = os.path.dirname(os.environ["DEPLOY_LOG"]), sys.argv
def read(flag):
    name = next((part.partition("=")[2] for part in argv if part.startswith(flag + "=")), None)
    return (json.load(open(name)), os.stat(name).st_mode & 0o777) if name else (None, None)
variables, flags = read("--env-vars-file"), read("--flags-file")
secret = os.path.join(place, "secret-" + (argv[3:] + [""])[0 if "versions" not in argv else 1])
given = sys.stdin.read() if "--data-file=-" in argv else None
with open(os.environ["DEPLOY_LOG"], "a") as log:
    called = {"argv": [os.path.basename(argv[0]), *argv[1:]], "variables": variables, "flags": flags, "given": given}
    log.write(json.dumps(called) + "\\n")
if given is not None:
    open(os.path.join(place, "secret-" + argv[4]), "w").write(given)
if "describe" in argv and "secrets" in argv and "versions" in argv:
    print("projects/1/secrets/s/versions/7")
elif "access" in argv:
    name = next(part.partition("=")[2] for part in argv if part.startswith("--secret="))
    known = os.path.join(place, "secret-" + name)
    print(open(known).read() if os.path.exists(known) else "", end="")
elif "services" in argv:
    print("https://" + argv[4] + "-42.r1.run.app")
elif "jobs" in argv and "describe" in argv:
    sys.exit(not os.path.exists(os.path.join(place, argv[4])))
sys.exit(int(os.environ.get("DEPLOY_EXIT", "0")))
"""
Call = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stand-ins for the programs of the clouds, which write down how they were called; and an environment file."""
    return fill_folder(tmp_path)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same after a first deployment as the documents show it, and what that printed."""
    folder = fill_folder(tmp_path_factory.mktemp("deployed"))
    done = deploy(folder, "--migrate", "postgresql://postgres@db.example.com/postgres")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def fill_folder(folder: Path) -> Path:
    for name in ("docker", "gcloud", "supabase"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    (folder / "production.env").write_text(ENVIRONMENT)
    return folder


def deploy(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    fixed = {
        "--env-file": str(folder / "production.env"),
        "--image": "registry.example.com/di:1",
        "--region": "r1",
        "--project": "acme",
    }
    own = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "DEPLOY_LOG": str(folder / "log")}
    return subprocess.run(
        [sys.executable, "-m", "scripts.deployment", *(part for pair in fixed.items() for part in pair), *arguments],
        cwd=ROOT, env=os.environ | own | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def list_calls(folder: Path, *words: str) -> list[Call]:
    """What was called, in order, where the command line begins with `words`."""
    calls = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [call for call in calls if call["argv"][: len(words)] == list(words)]


def list_variables(folder: Path) -> dict[str, dict[str, str]]:
    """What each deployed function was given: variables, and secrets by the place they are kept at."""
    given = {}
    for call in list_calls(folder, "gcloud", "run", "deploy"):
        secrets = read_flag(call, "--set-secrets").split(",") if has_flag(call, "--set-secrets") else []
        variables = call["variables"][0] | dict(pair.split("=", 1) for pair in secrets)
        given[variables["FUNCTION_TARGET"]] = variables
    return given


def read_flag(call: Call, flag: str) -> str:
    return str(
        next(part.partition("=")[2] for part in call["argv"] if part.startswith(flag + "=") or part == flag)
    )


def has_flag(call: Call, flag: str) -> bool:
    return any(part.partition("=")[0] == flag for part in call["argv"])


def change_environment(folder: Path, old: str, new: str) -> None:
    file = folder / "production.env"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_it_migrates_builds_pushes_and_deploys_every_function(deployed: tuple[Path, str]) -> None:
    folder, _ = deployed

    calls = list_calls(folder)
    functions = {file.stem for file in (ROOT / "functions").glob("*.py")} - {"__init__"}
    assert [call["argv"][:2] for call in calls[:3]] == [
        ["supabase", "db"],
        ["docker", "build"],
        ["docker", "push"],
    ]
    assert "--platform=linux/amd64" in calls[1]["argv"]
    assert list_variables(folder).keys() == functions
    assert {call["variables"][1] for call in list_calls(folder, "gcloud", "run", "deploy")} == {0o600}


def test_each_service_gets_what_it_needs_and_the_service_key_goes_to_no_function_of_users(
    deployed: tuple[Path, str],
) -> None:
    folder, _ = deployed

    given = list_variables(folder)
    assert given["scheduler"]["SCHEDULER_SECONDS"] == "40"
    assert "SUPABASE_SERVICE_ROLE_KEY" in given["scheduler"]
    assert not {"SUPABASE_SERVICE_ROLE_KEY", "SCHEDULER_SECRET"} & (
        given["integrations"].keys() | given["commands"].keys()
    )
    assert "INTEGRATION_KEYS" not in given["commands"]
    assert {variables["GOOGLE_CLOUD_PROJECT"] for variables in given.values()} == {"acme"}


def test_keys_in_supabase_vault_are_read_with_the_service_key(folder: Path) -> None:
    change_environment(folder, f"INTEGRATION_KEYS=k1:{KEY}", "")

    deploy(folder)

    given = list_variables(folder)
    assert "SUPABASE_SERVICE_ROLE_KEY" in given["integrations"]
    assert "SUPABASE_SERVICE_ROLE_KEY" not in given["commands"]


def test_secrets_are_kept_in_secret_manager_and_given_to_it_on_standard_input(
    deployed: tuple[Path, str],
) -> None:
    folder, _ = deployed

    added = {
        call["argv"][4]: call["given"] for call in list_calls(folder, "gcloud", "secrets", "versions", "add")
    }
    (scheduler,) = (variables for name, variables in list_variables(folder).items() if name == "scheduler")
    assert added == {
        "device-integrations-supabase-service-role-key": "canary-service-key",
        "device-integrations-integration-keys": f"k1:{KEY}",
        "device-integrations-scheduler-secret": "canary scheduler secret",
    }
    assert scheduler["SCHEDULER_SECRET"] == "device-integrations-scheduler-secret:7"
    readers = list_calls(folder, "gcloud", "secrets", "add-iam-policy-binding")
    assert {read_flag(call, "--member") for call in readers} == {
        "serviceAccount:device-integrations@acme.iam.gserviceaccount.com"
    }


def test_a_secret_that_has_not_changed_gets_no_new_version(folder: Path) -> None:
    deploy(folder)
    change_environment(folder, "canary scheduler secret", "canary other secret")
    deploy(folder)

    added = [call["argv"][4] for call in list_calls(folder, "gcloud", "secrets", "versions", "add")]
    assert added[3:] == ["device-integrations-scheduler-secret"]


def test_a_tick_has_time_to_end_and_an_instance_of_its_own(deployed: tuple[Path, str]) -> None:
    folder, _ = deployed

    (scheduler,) = list_calls(folder, "gcloud", "run", "deploy", "device-integrations-scheduler")
    assert (read_flag(scheduler, "--timeout"), read_flag(scheduler, "--concurrency")) == ("55", "1")


def test_there_is_a_thread_for_each_request_an_instance_is_sent_but_on_an_event_loop(folder: Path) -> None:
    deploy(
        folder,
        "--size",
        "commands.concurrency=90",
        "--size",
        "receive.max=50",
        "--size",
        "receive.memory=2Gi",
    )

    flags = {call["argv"][3]: call for call in list_calls(folder, "gcloud", "run", "deploy")}
    looped = {f"device-integrations-{name}" for name in ("receive", "golioth-webhook")}
    for name, call in flags.items():
        threads, concurrency = (
            int(call["variables"][0]["THREADS"]),
            int(read_flag(call, "--concurrency")),
        )
        assert (threads, concurrency) == (64, 500) if name in looped else threads >= concurrency
        assert read_flag(call, "--startup-probe").startswith("httpGet.path=/health,")
    receive = flags["device-integrations-receive"]
    assert read_flag(flags["device-integrations-commands"], "--concurrency") == "90"
    assert (read_flag(receive, "--max-instances"), read_flag(receive, "--memory")) == ("50", "2Gi")


@pytest.mark.parametrize(
    ("known", "verb", "flag"), [(False, "create", "--headers"), (True, "update", "--update-headers")]
)
def test_cloud_scheduler_sends_the_ticks_with_their_secret_in_a_file(
    folder: Path, *, known: bool, verb: str, flag: str
) -> None:
    if known:
        (folder / "device-integrations-tick").touch()

    deploy(folder)

    (job,) = list_calls(folder, "gcloud", "scheduler", "jobs", verb)
    assert read_flag(job, "--uri") == "https://device-integrations-scheduler-42.r1.run.app"
    assert read_flag(job, "--attempt-deadline") == "55s"
    assert job["flags"] == [{flag: {"X-Scheduler-Secret": "canary scheduler secret"}}, 0o600]


def test_a_worker_is_a_worker_pool_and_needs_no_ticks(folder: Path) -> None:
    deploy(folder, "--work-by", "worker", "--size", "worker.min=2")

    (worker,) = list_calls(folder, "gcloud", "beta", "run", "worker-pools", "deploy")
    assert {"--command=python", "--args=-m,shared.scheduler.worker", "--scaling=2"} <= set(worker["argv"])
    assert "SUPABASE_SERVICE_ROLE_KEY=" in read_flag(worker, "--set-secrets")
    assert list_calls(folder, "gcloud", "scheduler") == []


def test_it_ends_with_the_address_that_the_edge_functions_need(deployed: tuple[Path, str]) -> None:
    _, shown = deployed

    assert "DEVICE_INTEGRATIONS_URL=https://device-integrations-{function}-42.r1.run.app" in shown


def test_a_dry_run_runs_nothing(folder: Path) -> None:
    done = deploy(folder, "--dry-run", "--migrate")

    assert done.returncode == 0
    assert "supabase db push --remote --yes" in done.stdout
    assert "canary" not in done.stdout + done.stderr
    assert not (folder / "log").exists()
    assert "gcloud run deploy device-integrations-integrations" in done.stdout


def test_nothing_shown_and_no_command_line_holds_a_secret(deployed: tuple[Path, str]) -> None:
    folder, shown = deployed

    assert "canary" not in shown
    assert not [call for call in list_calls(folder) if "canary" in " ".join(call["argv"])]


def test_a_password_in_the_url_is_refused(folder: Path) -> None:
    done = deploy(folder, "--migrate", "postgresql://postgres:canary@db.example.com/postgres")

    assert done.returncode == 1
    assert "PGPASSWORD" in done.stderr
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SUPABASE_URL=x\n", "does not set SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY, SCHEDULER_SECRET"),
        ("canary-not-a-line\n", "Line 1"),
        ("OUTBOUND_ALOW=canary\n", "which no function reads: did you mean OUTBOUND_ALLOW?"),
        ("SUPABASE_URL='canary\n", "Line 1"),
        ("SUPABASE_URL='canary' canary\n", "Line 1"),
        (f"{ENVIRONMENT}SUPABASE_URL=https://canary.example.com\n", "SUPABASE_URL a second time"),
        (ENVIRONMENT.replace("=40", "=canary"), "SCHEDULER_SECONDS must be a number of seconds"),
        (ENVIRONMENT.replace(f"k1:{KEY}", "k1:canary"), "INTEGRATION_KEYS: entry 1"),
    ],
)  # fmt: skip
def test_a_wrong_environment_is_told_before_anything_is_run(folder: Path, text: str, said: str) -> None:
    (folder / "production.env").write_text(text)

    done = deploy(folder)

    assert done.returncode == 1
    assert said in done.stderr
    assert "canary" not in done.stderr
    assert not (folder / "log").exists()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("it's a canary", "it's a canary"),
        ('"it\'s a \\"canary\\" \\\\ \\$1"', 'it\'s a "canary" \\ $1'),
        ("'a \"canary\" # \\n'  # a comment", 'a "canary" # \\n'),
        ("a canary, quite = long # so", "a canary, quite = long # so"),
    ],
)
def test_values_are_read_as_they_are_meant(tmp_path: Path, written: str, meant: str) -> None:
    (tmp_path / "production.env").write_text(f"SCHEDULER_SECRET = {written}\n")

    assert read_environment(tmp_path / "production.env") == {"SCHEDULER_SECRET": meant}


@pytest.mark.parametrize("size", ["receive", "receive.colour=red", "receive.max=", "receive.max=many"])
def test_a_size_that_means_nothing_is_told(folder: Path, size: str) -> None:
    done = deploy(folder, "--size", size)

    assert done.returncode == 1
    assert not (folder / "log").exists()


def test_a_program_that_fails_ends_it(folder: Path) -> None:
    done = deploy(folder, DEPLOY_EXIT="3")

    assert done.returncode == 1
    assert "docker build" in done.stderr
    assert len(list_calls(folder)) == 1
