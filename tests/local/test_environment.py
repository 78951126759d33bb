"""A frontend developer's first minutes: scripts/serve in a terminal, and a shell that scripts/env has filled."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from scripts.local.stack import ROOT
from tests.local.terminal import COLUMNS, Terminal
from tests.local.test_demo import copy_commands, run_copied
from tests.platform import Platform
from tests.ports import find_free_port
from tests.stack import Serve, Stack
from tests.waiting import wait_until

TUNNEL = "https://tunnel.example.com/functions/v1"
VARIABLES = {
    *("SUPABASE_URL", "ANON_KEY", "SERVICE_ROLE_KEY", "FUNCTIONS_URL", "TOKEN"),
    *("TOKEN_OWNER", "TOKEN_ADMIN", "TOKEN_MEMBER", "TOKEN_VIEWER"),
    *("ORGANIZATION_ID", "INTEGRATION_ID", "DEVICE_ID"),
}


@pytest.fixture(scope="module")
def shown() -> Iterator[Terminal]:
    """scripts/serve when it is ready, on a folder of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="s-") as data,
        Terminal([ROOT / "scripts" / "serve", "--port", str(find_free_port()), "--data", data]) as terminal,
    ):
        terminal.wait_for("Anon key\n")
        terminal.wait_for("eyJ")
        yield terminal


def read_variables(stack: Stack) -> dict[str, str]:
    """What `scripts/env` exports for that stack."""
    argv = [str(ROOT / "scripts" / "env"), "--data", str(stack.data)]
    printed = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout
    shell = ["bash", "-c", f"set -e\n{printed}\nenv -0"]
    done = subprocess.run(shell, env={}, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in done.split("\0") if "=" in line)


def test_what_it_prints_fits_80_columns_with_the_keys_last(shown: Terminal) -> None:
    lines = shown.text.splitlines()
    keys = lines.index("Database")

    assert [line for line in lines[:keys] if len(line) > COLUMNS] == []
    assert len([line for line in lines if "migration" in line]) == 1
    assert lines[keys + 2] == "Anon key"


def test_each_command_it_prints_works_when_copied_and_the_worker_moves_the_data(shown: Terminal) -> None:
    commands = copy_commands(shown.text)
    *before, ask = commands

    done = run_copied([*before, f"for try in 1 2 3 4 5 6; do sleep 1; {ask}; done"])

    assert len(commands) == 4, commands
    assert done.returncode == 0, done.stderr
    assert "Example broker" in done.stdout
    assert '"topic":"devices/pump-1/telemetry"' in done.stdout, done.stdout


@pytest.mark.parametrize("document", ["README.md", "docs/local-stack.md"])
def test_the_commands_of_the_documents_work_when_copied(shown: Terminal, document: str) -> None:
    own = next(command for command in copy_commands(shown.text) if "scripts/env" in command)
    lines = [line[2:] for line in (ROOT / document).read_text().splitlines() if line.startswith("$ ")]
    start = next(place for place, line in enumerate(lines) if line.startswith('eval "$(scripts/env)"'))

    done = run_copied([own, *lines[start + 1 : start + 3], "sleep 2", *lines[start + 2 : start + 4]])

    assert done.returncode == 0, done.stderr
    assert '"topic":"devices/pump-1/telemetry"' in done.stdout, done.stdout


def test_control_c_ends_it_clean(shown: Terminal) -> None:
    shown.press_control_c()

    assert shown.wait() == 0
    assert "Traceback" not in shown.text


def test_a_shell_gets_addresses_keys_tokens_and_ids_that_work(stack: Stack) -> None:
    variables = read_variables(stack)

    assert variables.keys() >= VARIABLES
    assert variables["TOKEN"] == variables["TOKEN_ADMIN"]
    for role, status in {"OWNER": 200, "ADMIN": 200, "MEMBER": 403, "VIEWER": 403}.items():
        reply = httpx.patch(
            f"{variables['FUNCTIONS_URL']}/integrations/{variables['INTEGRATION_ID']}",
            json={"status": "active"},
            headers={"Authorization": f"Bearer {variables[f'TOKEN_{role}']}"},
            timeout=60,
        )
        assert reply.status_code == status, role
    device = httpx.get(
        f"{variables['SUPABASE_URL']}/rest/v1/devices",
        params={"select": "integration_id,organization_id", "id": f"eq.{variables['DEVICE_ID']}"},
        headers={"apikey": variables["ANON_KEY"], "Authorization": f"Bearer {variables['TOKEN_VIEWER']}"},
        timeout=60,
    )
    ids = {"integration_id": variables["INTEGRATION_ID"], "organization_id": variables["ORGANIZATION_ID"]}
    assert device.json() == [ids]


def test_asked_again_it_names_the_same_examples(stack: Stack) -> None:
    first, second = read_variables(stack), read_variables(stack)

    assert [first[name] for name in ("INTEGRATION_ID", "DEVICE_ID")] == [
        second[name] for name in ("INTEGRATION_ID", "DEVICE_ID")
    ]


def test_without_a_stack_it_exports_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    argv = [str(ROOT / "scripts" / "env"), "--data", str(tmp_path)]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert "start scripts/serve" in done.stderr


def test_the_worker_delivers_by_itself_and_outlives_a_restart_of_postgres(
    new_serve: Callable[..., Serve],
) -> None:
    serve = new_serve()
    serve.worker = True
    stack = serve.start()
    admin = Platform(stack, stack.user("admin", 0))
    before = stack.stop_postgres()
    wait_until(lambda: stack.postgres_pid not in {0, before}, "Postgres did not come back")
    variables = read_variables(stack)

    argv = [str(ROOT / "scripts" / "publish"), "devices/pump-1/telemetry", json.dumps({"temperature": 7})]
    publish = subprocess.run(argv, env=variables | {"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)

    assert b"acknowledged" in publish.stderr
    wait_until(lambda: admin.rows("device_messages", topic="eq.devices/pump-1/telemetry"), "nothing came")
    assert serve.running


def test_the_outsides_address_of_the_functions_is_known_to_whatever_prints_one(
    new_serve: Callable[..., Serve],
) -> None:
    serve = new_serve(FUNCTIONS_URL=TUNNEL + "/")

    stack = serve.start()

    assert (stack.functions_url, stack.console_url) == (TUNNEL, f"{TUNNEL}/console/")
    assert f"FUNCTIONS_URL={TUNNEL}" in stack.functions_env.read_text().splitlines()
    assert TUNNEL in serve.output


def test_a_shell_with_another_stacks_variables_starts_one_all_the_same(
    new_serve: Callable[..., Serve], stack: Stack
) -> None:
    variables = read_variables(stack)

    other = new_serve(
        **{name: variables[name] for name in variables if name not in {"PWD", "SHLVL", "_"}}
    ).start()

    assert other.functions_url == f"{other.url}/functions/v1"
    assert other.mqtt_url != stack.mqtt_url


def test_the_supabase_cli_has_nothing_to_say_against_config_toml(node_modules: Path) -> None:
    cli = node_modules / ".bin" / "supabase"

    done = subprocess.run([cli, "status"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert not re.search(r"WARN|deprecated", done.stdout + done.stderr)
