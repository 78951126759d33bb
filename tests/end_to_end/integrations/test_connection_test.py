"""The connection test as a dialog shows it: each step as it ends, of what is saved and of what is edited."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform

TOPICS = {"topics": "devices/+/telemetry"}
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def name_port(listener: socket.socket) -> str:
    return f"mqtt://127.0.0.1:{listener.getsockname()[1]}"


def stream_test(platform: Platform, path: str, body: dict[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """Each event with its data, as it comes."""
    headers = EVENTS | {"Authorization": f"Bearer {platform.stack.token(platform.user)}"}
    url = f"{platform.stack.url}/functions/v1/integrations{path}"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as reply:
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/event-stream")
        name = ""
        for line in reply.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line:
                yield name, json.loads(line.removeprefix("data: "))


def test_steps_come_while_the_test_still_waits_for_the_broker(admin: Platform, silent: socket.socket) -> None:
    config = TOPICS | {"broker_url": name_port(silent)}
    body = {"organization_id": admin.user.organization_id, "integration_type": "mqtt", "config": config}

    events = stream_test(admin, "/test", body)
    first = [next(events), next(events)]
    silent.accept()[0].close()
    silent.accept()[0].close()
    rest = list(events)

    assert [(name, data["name"], data["ok"]) for name, data in first] == [
        ("check", "address", True),
        ("check", "tcp", True),
    ]
    assert [name for name, _ in rest] == ["check", "verdict"]
    checks = [data for name, data in (*first, *rest) if name == "check"]
    assert rest[-1][1] == {"ok": False, "checks": checks}


def test_a_streamed_test_of_what_is_saved_stands_in_the_activity(admin: Platform) -> None:
    created = admin.create("mqtt", TOPICS | {"broker_url": "mqtt://127.0.0.1:9"})

    *_, (name, verdict) = stream_test(admin, f"/{created['id']}/test", None)

    (entry,) = admin.call("GET", f"/integrations/{created['id']}/activity").json()["activity"]
    assert (name, verdict["ok"], entry["kind"], entry["details"]["failed"]) == (
        "verdict",
        False,
        "test",
        "tcp",
    )


def test_what_is_refused_is_a_problem_with_its_status_and_no_stream(admin: Platform) -> None:
    asked = {"organization_id": admin.user.organization_id, "integration_type": "mqtt"}

    reply = admin.call("POST", "/integrations/test", json=asked | {"config": {}}, headers=EVENTS)

    assert (reply.status_code, reply.headers["Content-Type"]) == (422, "application/problem+json")
    assert {(error["field"], error["message"]) for error in reply.json()["errors"]} == {
        ("broker_url", "Fill this in."),
        ("topics", "Fill this in."),
    }


def test_an_edited_form_is_tested_with_the_stored_secret_and_not_saved(
    admin: Platform, receiver: HttpReceiver
) -> None:
    receiver.answer = lambda _: Answer(204, b"")
    created = admin.create("webhook", {"url": receiver.url, "bearer_token": "canary-stored-token"})

    *_, (_, verdict) = stream_test(admin, f"/{created['id']}/test", {"config": {"method": "PUT"}})

    (request,) = receiver.requests
    assert verdict["ok"], verdict
    assert (request.method, request.headers["authorization"]) == ("PUT", "Bearer canary-stored-token")
    assert "method" not in admin.call("GET", f"/integrations/{created['id']}").json()["integration"]["config"]


def test_an_edited_address_wants_the_secret_again_at_its_field(
    admin: Platform, receiver: HttpReceiver
) -> None:
    created = admin.create("webhook", {"url": receiver.url, "bearer_token": "canary-stored-token"})
    elsewhere = {"config": {"url": "http://127.0.0.2:9/"}}

    reply = admin.call("POST", f"/integrations/{created['id']}/test", json=elsewhere, headers=EVENTS)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (
        422,
        ["bearer_token"],
    )
    assert receiver.requests == []
