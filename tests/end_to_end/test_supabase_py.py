"""An unmodified supabase-py works against the functions as a backend or a script would use them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from supabase import Client, FunctionsHttpError, create_client
from tests.stack import Stack

# supabase-py sets these of its own clients, whatever the caller does.
pytestmark = pytest.mark.filterwarnings("ignore:The '(timeout|verify|proxy)' parameter:DeprecationWarning")


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """Signed in as an admin."""
    made = create_client(stack.url, stack.anon_key)
    admin = stack.user("admin", 1)
    made.auth.sign_in_with_password({"email": admin.email, "password": admin.password})
    yield made
    made.auth.close()


def invoke(client: Client, path: str, method: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    """The function's JSON reply; None where it has no body."""
    options = {"method": method, "headers": headers} | ({"body": body} if body is not None else {})
    reply = client.functions.invoke(path, options)
    assert isinstance(reply, bytes)
    return json.loads(reply) if reply else None


def new_body(stack: Stack, **fields: Any) -> dict[str, Any]:
    body = {
        "organization_id": stack.user("admin", 1).organization_id,
        "integration_type": "webhook",
        "name": f"Made by supabase-py {uuid.uuid4()}",
        "config": {"url": "http://127.0.0.1:9/hook"},
    }
    return body | fields


def test_it_creates_lists_changes_and_deletes_an_integration(stack: Stack, client: Client) -> None:
    created = invoke(client, "integrations", "POST", new_body(stack))["integration"]
    path = f"integrations/{created['id']}"

    listed = invoke(client, f"integrations?organization_id={created['organization_id']}", "GET")
    changed = invoke(client, path, "PATCH", {"status": "inactive", "config": {"max_concurrent": 3}})
    deleted = invoke(client, path, "DELETE")

    assert created in listed["integrations"]
    assert changed["integration"]["status"] == "inactive"
    assert changed["integration"]["config"] == created["config"] | {"max_concurrent": 3}
    assert deleted is None
    assert client.table("device_integrations").select("id").eq("id", created["id"]).execute().data == []


def test_it_tests_a_connection_saved_and_unsaved(stack: Stack, client: Client) -> None:
    created = invoke(client, "integrations", "POST", new_body(stack))["integration"]
    unsaved = {name: value for name, value in new_body(stack).items() if name != "name"}

    verdicts = [
        invoke(client, f"integrations/{created['id']}/test", "POST"),
        invoke(client, "integrations/test", "POST", unsaved),
    ]

    assert [verdict["ok"] for verdict in verdicts] == [False, False]
    assert all(verdict["checks"] for verdict in verdicts)


def test_its_error_has_the_status_and_its_cause_the_problem_document(stack: Stack, client: Client) -> None:
    with pytest.raises(FunctionsHttpError) as refused:
        invoke(client, "integrations", "POST", new_body(stack, config={}))

    cause = refused.value.__cause__
    assert isinstance(cause, httpx.HTTPStatusError)
    problem = cause.response.json()
    assert (refused.value.status, problem["code"]) == (422, "invalid_config")
    assert [error["field"] for error in problem["errors"]] == ["url"]


def test_it_may_not_overwrite_what_somebody_else_has_changed(stack: Stack, client: Client) -> None:
    created = invoke(client, "integrations", "POST", new_body(stack))["integration"]
    change = {"name": created["name"]}

    with pytest.raises(FunctionsHttpError) as refused:
        invoke(client, f"integrations/{created['id']}", "PATCH", change, **{"If-Match": '"0.0"'})

    assert refused.value.status == 412


def test_it_reads_whole_rows_without_the_sealed_credentials(client: Client) -> None:
    rows = client.table("device_integrations").select("*").execute()

    assert isinstance(rows.data, list)
    columns = {name for row in rows.data for name in (row if isinstance(row, dict) else {})}
    assert not [name for name in columns if name.startswith("sealed")]
