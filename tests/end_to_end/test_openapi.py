"""docs/openapi.json says what the functions do: schemathesis tries it against a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.local.stack import ROOT
from tests.stack import Serve, Stack

UNLIMITED = {
    f"RATE_LIMIT_{budget}_{whose}": "0"
    for budget in ("WRITES", "TESTS", "COMMANDS")
    for whose in ("USER", "ORGANIZATION")
}


def describe_environment(stack: Stack) -> dict[str, str]:
    """What schemathesis.toml and openapi_hooks.py read."""
    owner = stack.user("owner")
    return {
        "PYTHONPATH": str(ROOT),
        "OPENAPI_SESSION": stack.token(owner),
        "OPENAPI_SERVICE_KEY": stack.service_role_key,
        "OPENAPI_SCHEDULER_SECRET": stack.scheduler_secret,
        "OPENAPI_ORGANIZATION_ID": str(owner.organization_id),
    }


def count_operations() -> int:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_bytes())["paths"]
    return sum("operationId" in call for path in paths.values() for call in path.values())


def run_program(argv: list[str], folder: Path, stack: Stack) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=os.environ | describe_environment(stack),
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def lift_limits(stack: Stack) -> None:
    """More is made, and refused, within minutes than anybody may within an hour."""
    with stack.connect() as connection:
        connection.execute("update private.budgets set per_minute = 0")
        (made,) = connection.execute("select pg_get_functiondef('public.issue_id'::regproc)").fetchone() or (
            "",
        )
        lifted = str(made).replace(">= 1000 ", ">= 1000000 ")
        assert lifted != made
        connection.execute(lifted.encode())


def test_schemathesis_finds_nothing_the_document_does_not_say(
    new_serve: Callable[..., Serve], tmp_path: Path
) -> None:
    # A stack of its own, without limits: thousands of calls, and ticks over whatever they made.
    stack = new_serve(SCHEDULER_SECONDS="0.2", **UNLIMITED).start()
    lift_limits(stack)
    config = Path(__file__).with_name("schemathesis.toml")
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", "--no-color"]
    arguments = [str(ROOT / "docs" / "openapi.json"), "--url", f"{stack.url}/functions/v1"]

    done = run_program([*program, *arguments], tmp_path, stack)
    if "Runtime Error" in done.stdout and "Failures:" not in done.stdout:
        # Its generator gives up under load ("Inconsistent results"), which says nothing about the API.
        done = run_program([*program, *arguments], tmp_path, stack)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {count_operations()}" in done.stdout


def test_the_document_is_what_the_code_makes_of_itself() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.openapi", "--check"], cwd=ROOT, check=False)

    assert done.returncode == 0
