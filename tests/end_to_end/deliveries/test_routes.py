"""The deliveries and the activity of an integration, over HTTP and as every persona."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb
from standardwebhooks import Webhook as Oracle
from standardwebhooks import WebhookVerificationError

from shared.provider import make_secret
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform, enqueue, run_tick

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": "#"}


def make_webhook(admin: Platform, receiver: HttpReceiver, **config: Any) -> dict[str, Any]:
    """A webhook that gives up at the first failure."""
    return admin.create("webhook", {"url": receiver.url, "retry_schedule": []} | config)


def deliveries_of(platform: Platform, webhook: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    reply = platform.call("GET", f"/integrations/{webhook['id']}/deliveries", params=query)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["deliveries"])


def fail(_: object) -> Answer:
    return Answer(500, b"no")


def test_the_list_filters_by_status_and_event_type(admin: Platform, receiver: HttpReceiver) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 2)
    run_tick(admin.stack, idle_seconds=0.3)
    enqueue(admin, 1, kind="state")

    shown = {
        name: len(deliveries_of(admin, webhook, **query))
        for name, query in {
            "all": {},
            "delivered": {"status": "delivered"},
            "pending": {"status": "pending"},
            "dead": {"status": "dead"},
            "states": {"event_type": "device.state"},
            "delivered states": {"event_type": "device.state", "status": "delivered"},
        }.items()
    }

    assert shown == {"all": 3, "delivered": 2, "pending": 1, "dead": 0, "states": 1, "delivered states": 0}


def test_paging_shows_each_delivery_once_while_new_ones_come_in(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 4)
    enqueue(admin, 3)
    before = [row["id"] for row in deliveries_of(admin, webhook)]
    path, cursor, seen = f"/integrations/{webhook['id']}/deliveries", "", []

    while cursor is not None:
        page = admin.call("GET", path, params={"limit": "3", "cursor": cursor}).json()
        seen += [row["id"] for row in page["deliveries"]]
        cursor = page["next_cursor"]
        enqueue(admin, 1)

    assert seen == before
    assert len(set(seen)) == 7


def test_one_delivery_shows_every_attempt_with_what_was_answered(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = make_webhook(admin, receiver, retry_schedule=[0.1])
    receiver.answer = fail
    enqueue(admin, 1)
    run_tick(admin.stack, idle_seconds=1)
    (listed,) = deliveries_of(admin, webhook)

    shown = admin.call("GET", f"/integrations/{webhook['id']}/deliveries/{listed['id']}").json()["delivery"]

    log = shown.pop("attempts_log")
    assert shown == listed
    assert shown["status"] == "dead"
    assert [(entry["attempt"], entry["status_code"], entry["reply"]) for entry in log] == [
        (1, 500, "no"),
        (2, 500, "no"),
    ]
    assert all(entry["started_at"] and entry["milliseconds"] >= 0 for entry in log)


def test_the_activity_pages_and_filters_by_level(admin: Platform) -> None:
    created = admin.create("mqtt", MQTT, status="inactive")
    levels = ["info", "error", "info", "warning", "error"]
    notes = [{"level": level, "message": f"note {n}"} for n, level in enumerate(levels)]
    with admin.stack.connect() as connection:
        connection.execute("select record_activity(%s, 'session', %s)", (created["id"], Jsonb(notes)))
    path = f"/integrations/{created['id']}/activity"

    first = admin.call("GET", path, params={"limit": "3"}).json()
    second = admin.call("GET", path, params={"limit": "3", "cursor": first["next_cursor"]}).json()
    errors = admin.call("GET", path, params={"level": "error"}).json()["activity"]

    assert [row["message"] for row in first["activity"] + second["activity"]] == [
        f"note {n}" for n in (4, 3, 2, 1, 0)
    ]
    assert second["next_cursor"] is None
    assert [row["message"] for row in errors] == ["note 4", "note 1"]


@pytest.mark.parametrize("role", ["viewer", "member", "admin", "owner"])
def test_every_member_reads_deliveries_and_activity(
    admin: Platform, receiver: HttpReceiver, role: str
) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 1)
    reader = Platform(admin.stack, admin.stack.user(role, 0))

    (listed,) = deliveries_of(reader, webhook)
    one = reader.call("GET", f"/integrations/{webhook['id']}/deliveries/{listed['id']}")
    activity = reader.call("GET", f"/integrations/{webhook['id']}/activity")

    assert (one.status_code, activity.status_code) == (200, 200)
    assert activity.json()["next_cursor"] is None
    (past_the_api,) = reader.rows(
        "webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="id,status"
    )
    assert past_the_api == {"id": listed["id"], "status": listed["status"]}


@pytest.mark.parametrize("outsider", [("owner", 1), ("stranger", 0)])
def test_for_strangers_neither_deliveries_nor_activity_exist(
    admin: Platform, receiver: HttpReceiver, outsider: tuple[str, int]
) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 1)
    (delivery,) = deliveries_of(admin, webhook)
    stranger = Platform(admin.stack, admin.stack.user(*outsider))
    paths = ["deliveries", f"deliveries/{delivery['id']}", "activity"]

    replies = [stranger.call("GET", f"/integrations/{webhook['id']}/{path}") for path in paths]

    assert [(reply.status_code, reply.json()["code"]) for reply in replies] == [(404, "not_found")] * 3


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("deliveries?status=lost", "status"),
        ("deliveries?limit=0", "limit"),
        ("deliveries?cursor=!", "cursor"),
        ("deliveries/1", "delivery_id"),
        ("activity?level=loud", "level"),
    ],
)
def test_a_malformed_question_is_named(admin: Platform, path: str, field: str) -> None:
    created = admin.create("mqtt", MQTT, status="inactive")

    reply = admin.call("GET", f"/integrations/{created['id']}/{path}")

    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, field)


def test_a_delivery_is_found_under_its_own_integration_only(admin: Platform, receiver: HttpReceiver) -> None:
    webhook, other = make_webhook(admin, receiver), make_webhook(admin, receiver, events=["log"])
    enqueue(admin, 1)
    (delivery,) = deliveries_of(admin, webhook)

    reply = admin.call("GET", f"/integrations/{other['id']}/deliveries/{delivery['id']}")

    assert reply.status_code == 404


def post(platform: Platform, webhook: dict[str, Any], path: str, **request: Any) -> httpx.Response:
    return platform.call("POST", f"/integrations/{webhook['id']}/deliveries/{path}", **request)


def make_dead(admin: Platform, receiver: HttpReceiver, count: int = 1, **config: Any) -> dict[str, Any]:
    """A webhook whose deliveries are all dead, at an endpoint that works again."""
    webhook = make_webhook(admin, receiver, **config)
    receiver.answer = fail
    enqueue(admin, count)
    run_tick(admin.stack, idle_seconds=0.3)
    receiver.answer = lambda _: Answer()
    return webhook


def test_a_replayed_dead_letter_arrives_with_its_old_id_and_todays_secret(
    admin: Platform, receiver: HttpReceiver
) -> None:
    old, new = make_secret(), make_secret()
    webhook = make_dead(admin, receiver, signing_secret=old)
    (dead,) = deliveries_of(admin, webhook, status="dead")
    admin.call("PATCH", f"/integrations/{webhook['id']}", json={"config": {"signing_secret": new}})

    reply = post(admin, webhook, f"{dead['id']}/replay")
    run_tick(admin.stack, idle_seconds=0.3)

    first, second = receiver.requests
    assert (reply.status_code, reply.json()["delivery"]["status"]) == (202, "pending")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == dead["id"]
    assert Oracle(new).verify(second.body, second.headers)["type"] == "device.telemetry"
    with pytest.raises(WebhookVerificationError):
        Oracle(old).verify(second.body, second.headers)
    (delivered,) = deliveries_of(admin, webhook)
    assert (delivered["status"], delivered["attempts"]) == ("delivered", 2)


def test_all_dead_letters_of_an_inactive_webhook_are_replayed_at_once_and_nothing_else(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = make_dead(admin, receiver, 3)
    enqueue(admin, 1)
    admin.call("PATCH", f"/integrations/{webhook['id']}", json={"status": "inactive"})
    receiver.requests.clear()

    reply = post(admin, webhook, "replay")
    run_tick(admin.stack, idle_seconds=0.3)

    counts = reply.json()
    assert (reply.status_code, counts["replayed"], counts["left"]) == (202, 3, 0)
    assert len(receiver.requests) == 3
    assert sorted(row["status"] for row in deliveries_of(admin, webhook)) == ["delivered"] * 3 + ["pending"]


def test_a_range_is_replayed_by_its_status_time_and_type(admin: Platform, receiver: HttpReceiver) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 2)
    run_tick(admin.stack, idle_seconds=0.3)
    at = deliveries_of(admin, webhook)[0]["created_at"]

    before = post(admin, webhook, "replay", json={"status": "delivered", "to": at}).json()
    other = post(admin, webhook, "replay", json={"status": "delivered", "event_type": "device.log"}).json()
    since = post(admin, webhook, "replay", json={"status": "delivered", "from": at}).json()

    assert [counts["replayed"] for counts in (before, other, since)] == [0, 0, 2]


def test_what_is_still_to_come_can_be_cancelled(admin: Platform, receiver: HttpReceiver) -> None:
    webhook = make_webhook(admin, receiver)
    enqueue(admin, 3)
    first = deliveries_of(admin, webhook)[0]

    one = post(admin, webhook, f"{first['id']}/cancel")
    rest = post(admin, webhook, "cancel")
    run_tick(admin.stack, idle_seconds=0.3)

    assert (one.status_code, one.json()["delivery"]["status"]) == (200, "cancelled")
    assert (rest.status_code, rest.json()) == (200, {"cancelled": 2, "more": False})
    assert receiver.requests == []


def test_what_cannot_be_replayed_says_why(admin: Platform, receiver: HttpReceiver) -> None:
    webhook = make_dead(admin, receiver)
    (dead,) = deliveries_of(admin, webhook)
    with admin.stack.connect() as connection:
        connection.execute("delete from device_messages where id = %s", (dead["message_id"],))
    enqueue(admin, 1)
    (pending,) = deliveries_of(admin, webhook, status="pending")

    gone = post(admin, webhook, f"{dead['id']}/replay")
    early = post(admin, webhook, f"{pending['id']}/replay")
    late = post(admin, webhook, f"{dead['id']}/cancel")

    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    assert "retention" in gone.json()["detail"]
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("persona", "status"),
    [(("viewer", 0), 403), (("member", 0), 403), (("owner", 1), 404), (("stranger", 0), 404)],
)
def test_only_admins_change_the_queue(
    admin: Platform, receiver: HttpReceiver, persona: tuple[str, int], status: int
) -> None:
    webhook = make_dead(admin, receiver)
    (dead,) = deliveries_of(admin, webhook)
    caller = Platform(admin.stack, admin.stack.user(*persona))
    paths = ["replay", "cancel", f"{dead['id']}/replay", f"{dead['id']}/cancel"]

    refused = [post(caller, webhook, path).status_code for path in paths]

    assert refused == [status] * 4
    assert deliveries_of(admin, webhook) == [dead]


def test_changing_the_queue_is_limited_and_logged_like_other_writes(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = make_dead(admin, receiver)

    reply = post(admin, webhook, "replay", json={})

    activity = admin.call("GET", f"/integrations/{webhook['id']}/activity").json()["activity"]
    (entry,) = (row for row in activity if row["kind"] == "deliveries.replayed")
    assert (entry["details"]["user_id"], entry["details"]["count"]) == (str(admin.user.id), 1)
    assert "RateLimit" in reply.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "pending"}, "status"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_malformed_range_is_named(
    admin: Platform, receiver: HttpReceiver, body: dict[str, Any], field: str
) -> None:
    webhook = make_webhook(admin, receiver)

    reply = post(admin, webhook, "replay", json=body)

    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, field)


def test_a_webhook_hears_only_of_the_devices_that_its_filter_matches(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = make_webhook(admin, receiver, device_filter={"external_ids": ["pump-*"]})
    for device in ("pump-1", "valve-1", "pump-2"):
        enqueue(admin, 1, device=device)

    run_tick(admin.stack, idle_seconds=0.3)

    heard = sorted(json.loads(request.body)["data"]["device"]["external_id"] for request in receiver.requests)
    assert heard == ["pump-1", "pump-2"]
    assert len(deliveries_of(admin, webhook)) == 2
