"""The ways to the functions without Edge Functions, as docs/deploy.md shows them to frontends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.deployment.variables import DOCUMENT
from tests.documents import read_blocks
from tests.stack import Stack

CALLS = Path(__file__).with_name("other_ways.mjs").read_text()


@pytest.mark.parametrize("name", ["functions-client", "fetch-rewrite"])
def test_a_frontend_reaches_functions_at_an_address_of_their_own(
    stack: Stack, start_edge: Callable[[str, str], str], node_modules: Path, name: str
) -> None:
    (example,) = (block for block in read_blocks(DOCUMENT, "js", "5. ") if block.startswith(f"// {name}\n"))
    admin = stack.user("admin")
    # At the project's own address no function works, so that what does not go elsewhere fails.
    values = {"SUPABASE_URL": start_edge(stack.url, ""), "FUNCTIONS_URL": f"{stack.url}/functions/v1"}
    values |= {"SUPABASE_ANON_KEY": stack.anon_key, "EMAIL": admin.email, "PASSWORD": admin.password}
    script = node_modules.parent / f"{name}.mjs"
    given = [f"const {name} = {json.dumps(value)};" for name, value in values.items()]
    script.write_text(
        "\n".join(["import ws from 'ws';", *given, "globalThis.WebSocket ??= ws;", example, CALLS])
    )

    done = subprocess.run(["node", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
