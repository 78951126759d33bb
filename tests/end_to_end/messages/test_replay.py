"""POST …/messages/replay: what could not be decoded is decoded once the config is mended."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from tests.platform import Platform

TOPIC = "devices/pump/telemetry"
YESTERDAY = "2026-01-02T03:04:05.678+00:00"
READING = {"readings": {"temperature": 21}, "at": "2026-01-01T00:00:00Z"}


def make_broken(admin: Platform, **config: Any) -> dict[str, Any]:
    """An integration that looks for readings where there are none."""
    settings = {
        "broker_url": "mqtt://127.0.0.1",
        "topics": "devices/+/telemetry",
        "payload_format": "custom",
        "telemetry_path": "values",
        "timestamp_path": "at",
    }
    return admin.create("mqtt", settings | config, status="inactive")


def fail(admin: Platform, integration: dict[str, Any], *bodies: Any, at: str = YESTERDAY) -> list[str]:
    """Messages that came `at` and could not be decoded, by their bodies; their event ids."""
    messages = [
        {"event_id": str(uuid.uuid4()), "topic": TOPIC, "error": "Nothing is at telemetry_path 'values'."}
        | (body if isinstance(body, dict) and "raw" in body else {"payload": body})
        for body in bodies
    ]
    ingest(admin, integration, messages, at)
    return [str(message["event_id"]) for message in messages]


def ingest(admin: Platform, integration: dict[str, Any], messages: list[Any], at: str | None = None) -> None:
    with admin.stack.connect() as connection:
        connection.execute("select private.make_message_partition('2026-01-02')")
        connection.execute(
            "select ingest_messages(%s, %s, p_received_at => %s)", (integration["id"], Jsonb(messages), at)
        )


def mend(admin: Platform, integration: dict[str, Any], **config: Any) -> None:
    reply = admin.call("PATCH", f"/integrations/{integration['id']}", json={"config": config})
    assert reply.status_code == 200, reply.text


def replay(platform: Platform, integration: dict[str, Any], **body: Any) -> httpx.Response:
    return platform.call("POST", f"/integrations/{integration['id']}/messages/replay", json=body)


def counts(**changed: int) -> dict[str, Any]:
    return {"replayed": 0, "stored": 0, "duplicates": 0, "failed": 0, "next_cursor": None} | changed


def messages_of(admin: Platform, integration: dict[str, Any]) -> list[dict[str, Any]]:
    return admin.rows("device_messages", integration_id=f"eq.{integration['id']}", select="*")


def metrics_of(admin: Platform, integration: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = admin.rows(
        "integration_metrics", integration_id=f"eq.{integration['id']}", select="*", order="minute"
    )
    names = ("received", "stored", "duplicates", "failed")
    return [(row["minute"][:16], *(row[name] for name in names)) for row in rows]


def test_failed_messages_are_decoded_by_the_mended_config_with_their_original_times(admin: Platform) -> None:
    integration = make_broken(admin)
    (event_id,) = fail(admin, integration, READING)
    mend(admin, integration, telemetry_path="readings")

    reply = replay(admin, integration)

    assert (reply.status_code, reply.json()) == (200, counts(replayed=1, stored=1))
    (row,) = messages_of(admin, integration)
    assert (row["payload"], row["error"], row["event_id"]) == ({"temperature": 21}, None, event_id)
    assert (row["received_at"], row["observed_at"]) == (YESTERDAY, "2026-01-01T00:00:00+00:00")
    assert json.loads(row["raw"]) == READING
    (device,) = admin.rows("devices", integration_id=f"eq.{integration['id']}", select="id,external_id")
    assert (row["device_id"], device["external_id"]) == (device["id"], "pump")


def test_a_replay_is_counted_in_the_minute_of_the_messages_and_a_second_one_finds_nothing(
    admin: Platform,
) -> None:
    integration = make_broken(admin)
    fail(admin, integration, READING, READING, "no object")
    before = metrics_of(admin, integration)
    mend(admin, integration, telemetry_path="readings")

    first, second = replay(admin, integration), replay(admin, integration)

    assert before == [("2026-01-02T03:04", 3, 0, 0, 3)]
    assert metrics_of(admin, integration) == [("2026-01-02T03:04", 3, 3, 0, 0)]
    assert (first.json(), second.json()) == (counts(replayed=3, stored=3), counts())


def test_what_still_fails_stays_as_it_is(admin: Platform) -> None:
    integration = make_broken(admin)
    binary = {"raw": base64.b64encode(b"\xff\x00").decode(), "raw_encoding": "base64"}
    fail(admin, integration, {"raw": "not json"}, binary, {"other": 1})
    before = messages_of(admin, integration)

    reply = replay(admin, integration)

    assert reply.json() == counts(replayed=3, failed=3)
    assert messages_of(admin, integration) == before
    assert metrics_of(admin, integration) == [("2026-01-02T03:04", 3, 0, 0, 3)]


def test_a_message_whose_own_id_is_stored_already_counts_as_a_duplicate(admin: Platform) -> None:
    integration = make_broken(admin)
    fail(admin, integration, READING | {"n": 7}, READING | {"n": 7}, READING | {"n": 8})
    mend(admin, integration, telemetry_path="readings", event_id_path="n")

    reply = replay(admin, integration)

    assert reply.json() == counts(replayed=3, stored=2, duplicates=1)
    assert sorted(row["event_id"] for row in messages_of(admin, integration)) == ["pump:7", "pump:8"]
    assert metrics_of(admin, integration) == [("2026-01-02T03:04", 3, 2, 1, 0)]


def test_webhooks_hear_of_it_and_the_activity_says_who_did_it(admin: Platform) -> None:
    integration = make_broken(admin)
    fail(admin, integration, READING)
    webhook = admin.create("webhook", {"url": "https://hooks.example.com/"})
    mend(admin, integration, telemetry_path="readings")

    replay(admin, integration)

    (delivery,) = admin.rows(
        "webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="message_id,message_received_at"
    )
    (row,) = messages_of(admin, integration)
    assert delivery == {"message_id": row["id"], "message_received_at": YESTERDAY}
    activity = admin.call("GET", f"/integrations/{integration['id']}/activity").json()["activity"]
    (entry,) = (each for each in activity if each["kind"] == "messages.replayed")
    assert (entry["details"]["user_id"], entry["details"]["stored"]) == (str(admin.user.id), 1)


def test_what_a_device_said_since_counts_for_more_than_what_is_replayed(admin: Platform) -> None:
    integration = make_broken(admin)
    fail(admin, integration, READING | {"status": "online"})
    ingest(admin, integration, [{"event_id": "now", "device": "pump", "device_status": "offline"}])
    mend(admin, integration, telemetry_path="readings")

    assert replay(admin, integration).json()["stored"] == 1

    (device,) = admin.rows("devices", integration_id=f"eq.{integration['id']}", select="status")
    assert device["status"] == "offline"


def test_many_are_replayed_in_parts_and_a_time_range_narrows_them(admin: Platform) -> None:
    integration = make_broken(admin)
    fail(admin, integration, *[{"other": number} for number in range(200)])
    fail(admin, integration, READING, at="2026-01-02T03:05:00+00:00")
    mend(admin, integration, telemetry_path="readings")

    first = replay(admin, integration).json()
    second = replay(admin, integration, cursor=first["next_cursor"]).json()

    assert (first["replayed"], first["failed"]) == (200, 200)
    assert second == counts(replayed=1, stored=1)
    assert replay(admin, integration, to="2026-01-02T03:04:00Z").json() == counts()


def test_large_ones_are_replayed_a_few_at_a_time(admin: Platform) -> None:
    integration = make_broken(admin)
    fail(admin, integration, *[{"raw": "x" * 1_000_000} for _ in range(6)])

    first = replay(admin, integration).json()
    second = replay(admin, integration, cursor=first["next_cursor"]).json()

    assert (first["replayed"], second["replayed"], second["next_cursor"]) == (4, 2, None)


@pytest.mark.parametrize(
    ("persona", "status"),
    [(("viewer", 0), 403), (("member", 0), 403), (("owner", 1), 404), (("stranger", 0), 404)],
)
def test_only_admins_replay(admin: Platform, persona: tuple[str, int], status: int) -> None:
    integration = make_broken(admin)
    fail(admin, integration, READING)
    mend(admin, integration, telemetry_path="readings")

    reply = replay(Platform(admin.stack, admin.stack.user(*persona)), integration)

    assert reply.status_code == status
    assert [row["error"] is None for row in messages_of(admin, integration)] == [False]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"from": "yesterday"}, "from"), ({"cursor": "!"}, "cursor"), ({"status": "dead"}, "status")],
)
def test_a_malformed_range_is_named(admin: Platform, body: dict[str, str], field: str) -> None:
    reply = replay(admin, make_broken(admin), **body)

    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, field)


def test_a_type_that_stores_nothing_has_nothing_to_decode(admin: Platform) -> None:
    reply = replay(admin, admin.create("webhook", {"url": "https://hooks.example.com/"}))

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")
