"""docs/architecture.md says which files a change goes through; one that is traced says whether that is so."""

from __future__ import annotations

import uuid
from collections import Counter
from http import HTTPStatus

import pytest
from functions_framework import create_app

from scripts.local.stack import ROOT
from shared.runtime.database.client import Database
from tests.platform import Platform
from tests.tracing import Trace, read_steps, write_folders

MOST_STOPS = 6
CHANGE = "The way of a change"


def trace_change(admin: Platform) -> Trace:
    """A PATCH of an MQTT config and its password, as functions-framework runs it, after another like it."""
    config = {"broker_url": "mqtts://b.example.com", "topics": "a/#", "username": "u"}
    made = admin.create("mqtt", config, status="inactive")
    app = create_app("integrations", str(ROOT / "functions" / "integrations.py"))  # type: ignore[no-untyped-call] # published without types
    client, trace = app.test_client(), Trace(Database.call)
    headers = {"Authorization": f"Bearer {admin.stack.token(admin.user)}"}

    def change() -> int:
        config = {"topics": "devices/+/telemetry", "password": str(uuid.uuid4())}
        reply = client.patch(f"/integrations/{made['id']}", json={"config": config}, headers=headers)
        return int(reply.status_code)

    assert change() == HTTPStatus.OK
    assert trace.run(change) == HTTPStatus.OK
    return trace


@pytest.mark.usefixtures("functions_environment")
def test_a_change_goes_through_the_files_that_the_page_says_in_that_order(admin: Platform) -> None:
    told = read_steps(CHANGE)

    steps = trace_change(admin).list_steps()

    assert write_folders(steps, told) == told


@pytest.mark.usefixtures("functions_environment")
def test_a_change_has_six_stops_and_comes_back_to_none_more_than_once(admin: Platform) -> None:
    trace = trace_change(admin)

    visits = Counter(step.stop for step in trace.list_steps())
    assert set(visits) == set(trace.stack)
    assert len(visits) <= MOST_STOPS
    assert max(visits.values()) <= 1 + 1
