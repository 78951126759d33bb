"""Quotas through the API: exact however many ask at once, and refused with their name and who can raise them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.platform import Platform
from tests.stack import Stack

AT_ONCE, MOST = 12, 3


@pytest.fixture
def owner(stack: Stack) -> Iterator[Platform]:
    """Somebody with an organization of their own, so that nobody else's quotas change."""
    user = stack.user("owner", 1)
    yield Platform(stack, user)
    with stack.connect() as connection:
        connection.execute("delete from private.quotas where organization_id = %s", (user.organization_id,))


def allow(owner: Platform, bound: str, more: int) -> None:
    """Let the organization have `more` than it has."""
    with owner.stack.connect() as connection:
        connection.execute(
            "insert into private.quotas (organization_id, bound, most) values"
            " (%(of)s, %(bound)s, private.count_used(%(of)s, %(bound)s) + %(more)s)",
            {"of": owner.user.organization_id, "bound": bound, "more": more},
        )


def create(owner: Platform, integration_type: str = "mqtt", **config: Any) -> httpx.Response:
    config = config or {"broker_url": "mqtts://broker.example.com", "topics": "#"}
    body = {
        "organization_id": owner.user.organization_id,
        "integration_type": integration_type,
        "name": str(uuid.uuid4()),
        "status": "inactive" if integration_type == "mqtt" else "active",
        "config": config,
    }
    return owner.call("POST", "/integrations", json=body)


def race(call: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [future.result() for future in [threads.submit(call) for _ in range(AT_ONCE)]]


def require_exact(replies: list[httpx.Response], success: int, words: str) -> None:
    statuses = Counter(reply.status_code for reply in replies)
    assert statuses == {success: MOST, 409: AT_ONCE - MOST}
    for refused in (reply.json() for reply in replies if reply.status_code == 409):
        assert refused["code"] == "quota_exceeded"
        assert words in refused["detail"]
        assert "ask the operator" in refused["detail"]


def test_integrations_made_side_by_side_stop_at_the_bound(owner: Platform) -> None:
    allow(owner, "integrations", MOST)

    require_exact(race(lambda: create(owner)), 201, "integrations here")


def test_subscribers_made_side_by_side_stop_at_the_bound(owner: Platform) -> None:
    allow(owner, "subscribers", MOST)
    hook = {"url": "https://hooks.example.com/a", "events": ["telemetry"]}

    require_exact(race(lambda: create(owner, "webhook", **hook)), 201, "subscribers here")


def test_commands_sent_side_by_side_stop_at_the_bound(owner: Platform) -> None:
    broker = {"broker_url": "mqtts://broker.example.com", "topics": "#", "command_topic": "c/{device}/{name}"}
    made = create(owner, **broker).json()["integration"]["id"]
    with owner.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, 'pump', 'Pump') returning id::text",
            (owner.user.organization_id, made),
        ).fetchone()
    assert row is not None
    allow(owner, "pending_commands", MOST)
    body = {"device_id": row[0], "name": "stop"}

    require_exact(race(lambda: owner.call("POST", "/commands", json=body)), 202, "pending commands here")


@pytest.mark.parametrize("payload", [[[]] * 90_000, "x" * 300_000, [1e300] * 1_000])
def test_a_payload_that_is_too_large_is_refused_by_its_field(owner: Platform, payload: Any) -> None:
    body = {"device_id": str(uuid.uuid4()), "name": "stop", "payload": payload}

    reply = owner.call("POST", "/commands", json=body)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, ["payload"])


@pytest.mark.parametrize(
    ("template", "levels"), [({"text": "x" * 300_000}, 1), ({"text": ["y"] * 60_000}, 1), ({"a": 1}, 101)]
)
def test_settings_that_are_too_large_or_deep_are_refused_by_their_field(
    owner: Platform, template: Any, levels: int
) -> None:
    for _ in range(levels - 1):
        template = [template]
    hook = {"url": "https://hooks.example.com/a", "events": ["telemetry"], "payload_template": template}

    reply = create(owner, "webhook", **hook)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (
        422,
        ["payload_template"],
    )


def test_a_payload_that_is_too_deep_is_refused_by_its_field(owner: Platform) -> None:
    deep: Any = 1
    for _ in range(101):
        deep = [deep]
    body = {"device_id": str(uuid.uuid4()), "name": "stop", "payload": deep}

    reply = owner.call("POST", "/commands", json=body)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, ["payload"])
