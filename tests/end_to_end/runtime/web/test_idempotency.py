"""`Idempotency-Key`: sending a POST again creates nothing again."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.platform import Platform
from tests.stack import Stack

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "devices/+/telemetry"}
SECRET = "canary-idempotent-4410"


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def new_body(platform: Platform, **fields: Any) -> dict[str, Any]:
    body = {
        "organization_id": platform.user.organization_id,
        "integration_type": "mqtt",
        "name": f"Broker {uuid.uuid4()}",
        "config": MQTT | {"username": "u", "password": SECRET},
    }
    return body | fields


def post(platform: Platform, body: dict[str, Any], key: str) -> httpx.Response:
    return platform.call("POST", "/integrations", json=body, headers={"Idempotency-Key": key})


def count_named(platform: Platform, name: str) -> int:
    return len(platform.rows("device_integrations", select="id", name=f"eq.{name}"))


def test_the_same_request_again_gets_the_same_reply_and_creates_nothing(admin: Platform, key: str) -> None:
    body = new_body(admin)

    first, again = post(admin, body, key), post(admin, body, key)

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert [first.headers[name] for name in ("ETag", "Location")] == [
        again.headers[name] for name in ("ETag", "Location")
    ]
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert count_named(admin, body["name"]) == 1


def test_of_many_at_once_one_creates_and_all_get_its_reply(admin: Platform, key: str) -> None:
    body = new_body(admin)

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: post(admin, body, key), range(8)))

    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) == 1
    assert count_named(admin, body["name"]) == 1


@pytest.mark.parametrize(
    "fields",
    [{"name": "Another name"}, {"config": MQTT}, {"config": MQTT | {"username": "u", "password": "x"}}],
)
def test_the_same_key_with_another_body_is_refused(admin: Platform, key: str, fields: dict[str, Any]) -> None:
    body = new_body(admin)
    post(admin, body, key)

    other = post(admin, body | fields, key)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert SECRET not in other.text


def test_the_order_of_fields_and_the_draft_quotes_make_no_other_request(admin: Platform, key: str) -> None:
    body = new_body(admin)
    post(admin, body, key)

    again = post(admin, dict(reversed(body.items())), f'"{key}"')

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")


def test_a_key_belongs_to_the_user_who_used_it(stack: Stack, admin: Platform, key: str) -> None:
    owner = Platform(stack, stack.user("owner", 0))
    post(admin, new_body(admin), key)

    reply = post(owner, new_body(owner), key)

    assert reply.status_code == 201
    assert "Idempotent-Replayed" not in reply.headers


def test_a_refused_request_keeps_its_key_free(admin: Platform, key: str) -> None:
    taken = admin.create("mqtt", MQTT)["name"]

    refused = post(admin, new_body(admin, name=taken), key)
    created = post(admin, new_body(admin), key)

    assert (refused.status_code, created.status_code) == (409, 201)


def test_a_replay_is_the_first_reply_even_after_a_change(admin: Platform, key: str) -> None:
    body = new_body(admin)
    first = post(admin, body, key)
    admin.call("PATCH", first.headers["Location"].removeprefix("/functions/v1"), json={"name": key})

    again = post(admin, body, key)

    assert again.content == first.content


def test_after_24_hours_a_key_is_new_again_and_maintenance_forgets_it(
    stack: Stack, admin: Platform, key: str
) -> None:
    post(admin, new_body(admin), key)
    past = (
        "update private.idempotency_keys set created_at = now() - interval '24 hours 1 minute' where key = %s"
    )

    with stack.connect() as connection:
        connection.execute(past, (key,))
    renewed = post(admin, new_body(admin), key)
    with stack.connect() as connection:
        connection.execute(past, (key,))
        connection.execute("select public.prune_idempotency_keys()")
        kept = connection.execute("select from private.idempotency_keys where key = %s", (key,)).fetchall()

    assert renewed.status_code == 201
    assert "Idempotent-Replayed" not in renewed.headers
    assert kept == []


def test_what_is_kept_of_a_request_holds_nothing_of_its_secrets(
    stack: Stack, admin: Platform, key: str
) -> None:
    post(admin, new_body(admin), key)

    with stack.connect() as connection:
        row = connection.execute(
            "select k::text from private.idempotency_keys k where key = %s", (key,)
        ).fetchone()

    assert row is not None
    assert SECRET not in row[0]


@pytest.mark.parametrize("malformed", ["", '""', "x" * 256, "snow\u2603man".encode()])
def test_a_malformed_key_is_refused(admin: Platform, malformed: str | bytes) -> None:
    reply = admin.call("POST", "/integrations", json=new_body(admin), headers={"Idempotency-Key": malformed})

    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


def test_an_admin_who_was_demoted_gets_no_replay(stack: Stack, admin: Platform, key: str) -> None:
    body = new_body(admin)
    post(admin, body, key)
    demote = "update organization_members set role = %s where user_id = %s"

    with stack.connect() as connection:
        connection.execute(demote, ("member", admin.user.id))
    try:
        refused = post(admin, body, key)
    finally:
        with stack.connect() as connection:
            connection.execute(demote, ("admin", admin.user.id))

    assert refused.status_code == 403
