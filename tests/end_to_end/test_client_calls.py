"""Each method of supabase-js that a frontend of this product calls answers as on Supabase, or is refused by a code."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.client_calls import CALLS, NOT_CALLED
from tests.stack import Stack

TABLE = [(client, *call) for client, calls in CALLS.items() for call in calls]
PARTS = {"data", "error", "count", "status"}


@pytest.fixture(scope="module")
def ran(stack: Stack, node_modules: Path) -> dict[str, Any]:
    """What each call gave, and the methods that the clients have."""
    script = shutil.copy(Path(__file__).with_name("client_calls.mjs"), node_modules.parent)
    admin = stack.user("admin", 0)
    told = {
        "url": stack.url,
        "anonKey": stack.anon_key,
        "serviceKey": stack.service_role_key,
        "organization": admin.organization_id,
        "admin": {"email": admin.email, "password": admin.password},
        "calls": [code for _, _, code, _ in TABLE],
    }
    done = subprocess.run(
        ["node", script], input=json.dumps(told), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("number", range(len(TABLE)), ids=lambda number: f"{TABLE[number][1]}-{number}")
def test_a_call_gives_what_it_gives_on_supabase(ran: dict[str, Any], number: int) -> None:
    _, _, code, expected = TABLE[number]
    answer = ran["answers"][number]

    if "return " in code:
        assert answer == expected, answer
    elif isinstance(expected, dict) and expected.keys() <= PARTS:
        assert {name: answer.get(name) for name in expected} == expected, answer
    else:
        assert (answer["data"], answer["error"]) == (expected, None), answer


@pytest.mark.parametrize("client", list(CALLS))
def test_every_method_of_the_client_has_a_row(ran: dict[str, Any], client: str) -> None:
    called = {method for calls in CALLS.values() for method, _, _ in calls}

    assert set(ran["methods"][client]) - called == NOT_CALLED[client]
