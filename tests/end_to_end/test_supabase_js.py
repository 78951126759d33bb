"""An unmodified supabase-js, in Node, works against scripts/serve as against a Supabase project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack


@pytest.fixture(scope="module")
def seen(stack: Stack, node_modules: Path) -> dict[str, Any]:
    """What supabase_js.mjs saw, run beside the packages it imports."""
    script = shutil.copy(Path(__file__).with_name("supabase_js.mjs"), node_modules.parent)
    owner = stack.user("owner", 1)
    arguments = [stack.url, stack.anon_key, owner.email, owner.password, str(owner.organization_id)]
    done = subprocess.run(
        ["node", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_it_signs_in_and_knows_the_user(stack: Stack, seen: dict[str, Any]) -> None:
    email = stack.user("owner", 1).email

    assert (seen["signedIn"], seen["user"]) == (email, email)


def test_it_reports_a_wrong_password_by_its_code(seen: dict[str, Any]) -> None:
    assert seen["wrongPassword"] == "invalid_credentials"


def test_it_creates_lists_selects_and_deletes_an_integration(seen: dict[str, Any]) -> None:
    created = seen["created"]

    assert created["name"] == "Made by supabase-js"
    assert created["id"] in [integration["id"] for integration in seen["listed"]["integrations"]]
    assert seen["selected"]["data"] == {name: created[name] for name in ("id", "name", "status")}
    assert seen["removed"] is None
    assert seen["deleted"] == []


def test_it_changes_the_version_it_has_read_and_no_other(seen: dict[str, Any]) -> None:
    assert seen["tag"]
    assert seen["changed"]["name"] == "Changed by supabase-js"
    assert (seen["late"]["status"], seen["late"]["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize("form", ["tested", "testedUnsaved"])
def test_it_tests_a_connection_and_learns_which_step_failed(seen: dict[str, Any], form: str) -> None:
    verdict = seen[form]

    assert verdict["ok"] is False
    assert [check["ok"] for check in verdict["checks"]] == [True, False]


def test_it_finds_the_problem_document_of_a_refused_call(seen: dict[str, Any]) -> None:
    assert seen["refused"] == {"name": "FunctionsHttpError", "status": 422}
    assert seen["problem"]["code"] == "invalid_config"
    assert [error["field"] for error in seen["problem"]["errors"]] == ["integration_type"]


def test_it_selects_whole_rows_without_a_character_of_sealed_text(seen: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", seen["whole"]["api_key_encrypted"])
    assert not [name for name in seen["whole"] if name.startswith("sealed")]


def test_it_refreshes_its_session_and_signs_out(seen: dict[str, Any]) -> None:
    assert seen["refreshed"] is None
    assert seen["signedOut"] is None


def test_it_sees_nothing_when_signed_out(seen: dict[str, Any]) -> None:
    assert not seen["stranger"]["data"]
