"""One line a request: which, whose, about what, how long; and nothing of its body."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform import Platform
from tests.stack import Serve

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "#", "username": "u"}
SECRET = "canary-logged-6601"


@pytest.fixture
def serve(new_serve: Callable[..., Serve]) -> Serve:
    return new_serve()


def read_requests(serve: Serve) -> Iterator[dict[str, Any]]:
    """The request lines that the functions have logged."""
    for line in (serve.folder / "data" / "logs" / "api.log").read_text().splitlines():
        if line.startswith("{") and json.loads(line)["message"] == "request":
            yield json.loads(line)


def test_each_request_is_logged_with_ids_and_duration_and_no_body(serve: Serve) -> None:
    stack = serve.start()
    admin = Platform(stack, stack.user("admin", 0))
    marks = [f"log-{uuid.uuid4()}" for _ in range(3)]
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": "Logged",
        "config": MQTT | {"password": SECRET},
    }

    created, taken = (
        admin.call("POST", "/integrations", json=body, headers={"X-Request-Id": mark}) for mark in marks[:2]
    )
    path = f"/integrations/{created.json()['integration']['id']}"
    admin.call("PATCH", path, json={"config": {"password": "x"}}, headers={"X-Request-Id": marks[2]})

    lines = {line["request_id"]: line for line in read_requests(serve)}
    assert [lines[mark]["status"] for mark in marks] == [201, 409, 200]
    for mark in marks:
        assert lines[mark]["user"] == admin.user.id
        assert lines[mark]["organization"] == admin.user.organization_id
        assert lines[mark]["ms"] > 0
    assert lines[marks[0]]["integration"] == lines[marks[2]]["integration"] == path.rpartition("/")[2]
    assert taken.status_code == 409
    assert SECRET not in serve.output + (serve.folder / "data" / "logs" / "api.log").read_text()
