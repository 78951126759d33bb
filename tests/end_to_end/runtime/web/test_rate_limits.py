"""Rate limits, on a stack with small ones: two API processes share them, and nobody drains or refills another's."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.platform import Platform
from tests.ports import find_free_port
from tests.stack import Serve, Stack

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": "#", "command_topic": "c/{device}/{name}"}
WRITES, WRITES_TOGETHER, TESTS, COMMANDS, COMMANDS_TOGETHER = 3, 4, 2, 2, 3
"""So few a minute that the next token takes longer than any test, also on a slow machine."""


@pytest.fixture(scope="module")
def served() -> Iterator[Stack]:
    limits = {
        "RATE_LIMIT_WRITES_USER": str(WRITES),
        "RATE_LIMIT_WRITES_ORGANIZATION": str(WRITES_TOGETHER),
        "RATE_LIMIT_TESTS_USER": str(TESTS),
        "RATE_LIMIT_COMMANDS_USER": str(COMMANDS),
        "RATE_LIMIT_COMMANDS_ORGANIZATION": str(COMMANDS_TOGETHER),
    }
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        serve = Serve(Path(folder), find_free_port(), environment=limits)
        yield serve.start()
        serve.stop()


@pytest.fixture
def limited(served: Stack) -> Stack:
    """The stack with all buckets full."""
    with served.connect() as connection:
        connection.execute("truncate private.rate_limits")
    return served


@pytest.fixture
def admin(limited: Stack) -> Platform:
    return Platform(limited, limited.user("admin", 0))


def create(platform: Platform) -> httpx.Response:
    body = {
        "organization_id": platform.user.organization_id,
        "integration_type": "mqtt",
        "name": str(uuid.uuid4()),
        "config": MQTT,
    }
    return platform.call("POST", "/integrations", json=body)


def take(platform: Platform, **arguments: Any) -> httpx.Response:
    """`take_tokens` called straight, past the API."""
    headers = {
        "Authorization": f"Bearer {platform.stack.token(platform.user)}",
        "apikey": platform.stack.anon_key,
    }
    url = f"{platform.stack.url}/rest/v1/rpc/take_tokens"
    return httpx.post(url, json={"p_budget": "write"} | arguments, headers=headers, timeout=60)


def test_a_reply_says_what_is_left_of_which_limit(admin: Platform) -> None:
    first, second = create(admin), create(admin)

    assert first.headers["RateLimit-Policy"] == (
        f'"write-user";q={WRITES};w=60, "write-organization";q={WRITES_TOGETHER};w=60'
    )
    left = re.findall(r'"([a-z-]+)";r=(\d+);t=\d+', second.headers["RateLimit"])
    assert left == [("write-user", str(WRITES - 2)), ("write-organization", str(WRITES_TOGETHER - 2))]


def test_a_burst_over_many_connections_gets_exactly_its_limit_through(admin: Platform) -> None:
    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(lambda _: create(admin), range(4 * WRITES)))

    assert Counter(reply.status_code for reply in replies) == {201: WRITES, 429: 3 * WRITES}
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60 / WRITES
    assert '"write-user";r=0;t=' in refused.headers["RateLimit"]


def test_a_bucket_refills_with_time(limited: Stack, admin: Platform) -> None:
    for _ in range(WRITES):
        create(admin)
    step = f"update private.rate_limits set full_at = full_at - interval '{60 / WRITES} seconds'"

    with limited.connect() as connection:
        connection.execute(step)

    assert [create(admin).status_code for _ in range(2)] == [201, 429]


def test_the_organizations_limit_counts_all_its_admins_together(limited: Stack, admin: Platform) -> None:
    owner = Platform(limited, limited.user("owner", 0))

    statuses = Counter(create((admin, owner)[n % 2]).status_code for n in range(2 * WRITES))

    assert statuses == {201: WRITES_TOGETHER, 429: 2 * WRITES - WRITES_TOGETHER}
    assert create(Platform(limited, limited.user("owner", 1))).status_code == 201


def test_changing_and_deleting_count_and_reading_does_not(admin: Platform) -> None:
    path = f"/integrations/{create(admin).json()['integration']['id']}"

    changed = [admin.call("PATCH", path, json={"status": "inactive"}) for _ in range(WRITES - 1)]
    deleted = admin.call("DELETE", path)
    read = [admin.call("GET", path) for _ in range(WRITES)]

    assert {reply.status_code for reply in changed} == {200}
    assert deleted.status_code == 429
    assert {reply.status_code for reply in read} == {200}
    assert "RateLimit" not in read[0].headers


def test_a_refused_write_costs_a_token_too(limited: Stack) -> None:
    member = Platform(limited, limited.user("member", 0))

    statuses = [create(member).status_code for _ in range(WRITES + 1)]

    assert statuses == [*[403] * WRITES, 429]


def test_connection_tests_have_a_tighter_limit_of_their_own(admin: Platform) -> None:
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "config": MQTT,
    }
    saved = f"/integrations/{create(admin).json()['integration']['id']}/test"

    statuses = [
        admin.call("POST", "/integrations/test", json=body).status_code,
        admin.call("POST", saved).status_code,
        admin.call("POST", "/integrations/test", json=body).status_code,
        admin.call("POST", saved).status_code,
    ]

    assert statuses == [200, 200, 429, 429]
    assert create(admin).status_code == 201


def make_device(admin: Platform) -> str:
    """A device to send commands to; its id."""
    integration_id = create(admin).json()["integration"]["id"]
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, 'pump', 'Pump') returning id",
            (admin.user.organization_id, integration_id),
        ).fetchone()
    assert row is not None
    return str(row[0])


def command(platform: Platform, device_id: str) -> httpx.Response:
    return platform.call("POST", "/commands", json={"device_id": device_id, "name": "stop"})


def test_commands_have_limits_of_their_own_for_each_member_and_for_all(
    limited: Stack, admin: Platform
) -> None:
    device_id, member = make_device(admin), Platform(limited, limited.user("member", 0))

    first, *rest = [command(member, device_id) for _ in range(COMMANDS + 1)]
    others = [command(admin, device_id).status_code for _ in range(COMMANDS_TOGETHER - COMMANDS + 1)]

    assert first.headers["RateLimit-Policy"] == (
        f'"command-user";q={COMMANDS};w=60, "command-organization";q={COMMANDS_TOGETHER};w=60'
    )
    assert [reply.status_code for reply in rest] == [*[202] * (COMMANDS - 1), 429]
    assert others == [202, 429]
    assert create(admin).status_code == 201


def test_commands_that_are_refused_cost_the_caller_a_token_and_the_organization_none(
    limited: Stack, admin: Platform
) -> None:
    device_id, viewer = make_device(admin), Platform(limited, limited.user("viewer", 0))

    statuses = [command(viewer, device_id).status_code for _ in range(COMMANDS + 1)]

    assert statuses == [*[403] * COMMANDS, 429]
    assert (
        f'"command-organization";r={COMMANDS_TOGETHER - 1};' in command(admin, device_id).headers["RateLimit"]
    )


@pytest.mark.parametrize("persona", [("viewer", 0), ("member", 0), ("owner", 1), ("stranger", 0)])
def test_who_is_not_admin_there_cannot_drain_the_organizations_bucket(
    limited: Stack, admin: Platform, persona: tuple[str, int]
) -> None:
    attacker = Platform(limited, limited.user(*persona))

    replies = [
        take(attacker, p_organization_id=admin.user.organization_id) for _ in range(WRITES_TOGETHER + 1)
    ]

    assert {name for reply in replies for name in reply.json()["policies"]} == {"user"}
    assert f'"write-organization";r={WRITES_TOGETHER - 1};' in create(admin).headers["RateLimit"]


def test_no_limits_given_past_the_api_refill_a_bucket(admin: Platform) -> None:
    for _ in range(WRITES):
        create(admin)

    for user in (1_000_000, 2_147_483_647, 0, -5):
        assert take(admin, p_limits={"user": user, "organization": user}).status_code == 404
        assert take(admin, p_tokens=user).json()["allowed"] is False

    assert create(admin).status_code == 429


def test_a_user_can_only_spend_their_own_tokens(limited: Stack, admin: Platform) -> None:
    owner = Platform(limited, limited.user("owner", 0))

    for _ in range(3):
        take(owner)

    assert create(admin).headers["RateLimit"].startswith(f'"write-user";r={WRITES - 1};')


def test_maintenance_forgets_buckets_that_are_long_full(limited: Stack, admin: Platform) -> None:
    create(admin)
    with limited.connect() as connection:
        connection.execute("update private.rate_limits set full_at = now() - interval '61 minutes'")
        connection.execute("set local role service_role")

        pruned = connection.execute("select prune_rate_limits() ->> 'rate_limits'").fetchone()

    assert pruned == ("5",), "write and change of the user and of the organization, audit of the user"
