"""The scheduler over HTTP: broker to Postgres to webhook, and what happens when one of them fails."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from shared.provider import verify_webhook
from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.platform import Platform, run_tick
from tests.ports import find_free_port
from tests.stack import Stack
from tests.waiting import wait_until

SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def connect_broker(admin: Platform, prefix: str, **config: Any) -> dict[str, Any]:
    """An MQTT integration that listens below `prefix`, with its subscription already made."""
    broker = urlsplit(admin.stack.mqtt_url)
    address = {
        "broker_url": f"mqtt://{broker.hostname}",
        "port": broker.port,
        "topics": f"{prefix}/+/telemetry",
    }
    created = admin.create("mqtt", address | config)
    run_tick(admin.stack, idle_seconds=0.3)
    return created


def publish(stack: Stack, messages: list[tuple[str, bytes]]) -> None:
    """Publish with QoS 1 and wait until the broker has them all."""
    broker = urlsplit(stack.mqtt_url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.hostname or "", broker.port or 1883)
    client.loop_start()
    for topic, body in messages:
        client.publish(topic, body, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def end_api_connections(stack: Stack) -> None:
    """End every database connection of /rest/v1, as a restart of Postgres does."""
    with stack.connect() as connection:
        backends = connection.execute(
            "select pid from pg_stat_activity where usename = 'authenticator'"
        ).fetchall()
    for (pid,) in backends:
        os.kill(pid, signal.SIGTERM)


def readings(prefix: str, count: int, device: str = "a") -> list[tuple[str, bytes]]:
    return [
        (f"{prefix}/{device}/telemetry", orjson.dumps({"device": device, "temperature": number}))
        for number in range(count)
    ]


def messages_of(admin: Platform, integration: dict[str, Any]) -> list[dict[str, Any]]:
    return admin.rows(
        "device_messages", integration_id=f"eq.{integration['id']}", select="*", order="received_at"
    )


def test_a_message_travels_from_the_broker_into_postgres_and_out_to_the_webhook(
    admin: Platform, receiver: HttpReceiver
) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    webhook = admin.create("webhook", {"url": receiver.url, "signing_secret": SIGNING_SECRET})

    publish(admin.stack, readings(prefix, 3))
    done = run_tick(admin.stack)

    rows = messages_of(admin, broker)
    assert sorted(row["payload"]["temperature"] for row in rows) == [0, 1, 2]
    (device,) = admin.rows(
        "devices", integration_id=f"eq.{broker['id']}", select="id,external_id,status,last_seen_at"
    )
    assert (device["external_id"], device["status"]) == ("a", "online")
    assert {row["device_id"] for row in rows} == {device["id"]}
    assert len(receiver.requests) == 3
    for request in receiver.requests:
        verify_webhook([SIGNING_SECRET], request.headers, request.body, time.time())
    deliveries = admin.rows(
        "webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="id,status,attempts"
    )
    assert {row["id"] for row in deliveries} == {
        request.headers["webhook-id"] for request in receiver.requests
    }
    assert {(row["status"], row["attempts"]) for row in deliveries} == {("delivered", 1)}
    assert done["sessions"]["stored"] == done["deliveries"]["delivered"] == 3


def test_what_is_published_while_nobody_listens_is_stored_at_the_next_tick(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)

    publish(admin.stack, readings(prefix, 100))
    before = messages_of(admin, broker)
    run_tick(admin.stack)

    assert (len(before), len(messages_of(admin, broker))) == (0, 100)


def test_a_device_that_is_not_known_is_not_made_where_that_is_off_and_its_messages_name_it(
    admin: Platform,
) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix, auto_provision_devices=False)

    publish(admin.stack, readings(prefix, 1, device="new"))
    run_tick(admin.stack)

    (message,) = messages_of(admin, broker)
    assert (message["payload"]["temperature"], message["device_id"], message["external_id"]) == (
        0,
        None,
        "new",
    )
    assert admin.rows("devices", integration_id=f"eq.{broker['id']}", select="id") == []


def test_a_malformed_message_is_kept_with_its_reason_and_the_others_arrive(
    admin: Platform, receiver: HttpReceiver
) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    admin.create("webhook", {"url": receiver.url})
    poison = [
        b"not json",
        b"\xff\xfe\x00",
        b'{"temperature": "\\u0000"',
        b'{"temperature": 1e999}',
        b"",
        b"x" * 1_200_000,
    ]

    publish(admin.stack, [(f"{prefix}/a/telemetry", body) for body in poison] + readings(prefix, 2))
    run_tick(admin.stack)

    rows = messages_of(admin, broker)
    assert len(rows) == len(poison) + 2
    assert len([row for row in rows if row["error"]]) == len(poison)
    assert all(row["payload"] is None for row in rows if row["error"])
    assert "not json" in [row["raw"] for row in rows]
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (
            '{"temperature": 21.5, "co2": 400, "door": "open"}',
            {"temperature": 21.5, "co2": 400, "door": "open"},
        ),
        ('{"iccid": 89014103211118510720, "n": [-1%s]}' % ("0" * 40), None),
        ('{"temperature": 1, "ts": 37}', {"temperature": 1, "ts": 37}),
        ('\ufeff{"name": "a\\u0000"}\x00', {"name": "a\ufffd"}),
        (
            '{"temperature": NaN, "humidity": 40, "log": "a\tb"}',
            {"temperature": None, "humidity": 40, "log": "a\tb"},
        ),
        ('{"name": "\\ud83d", "n": 1}', {"name": "\ufffd", "n": 1}),
        ('{"Time": "2026-11-29T13:14:15", "SI7021": {"Temperature": 20.1}}', None),
    ],
)
def test_a_message_arrives_whole_in_the_table_and_at_the_webhook(
    admin: Platform, receiver: HttpReceiver, body: str, payload: dict[str, Any] | None
) -> None:
    expected = payload or json.loads(body)
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    admin.create("webhook", {"url": receiver.url})

    publish(admin.stack, [(f"{prefix}/a/telemetry", body.encode())])
    run_tick(admin.stack)

    (row,) = messages_of(admin, broker)
    assert (row["payload"], row["error"]) == (expected, None)
    (request,) = receiver.requests
    assert json.loads(request.body)["data"]["payload"] == expected


def test_messages_show_the_names_of_their_device_and_integration(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)

    publish(admin.stack, readings(prefix, 1))
    run_tick(admin.stack)

    (row,) = admin.rows("device_messages", select="devices(name),device_integrations(name)")
    (device,) = admin.rows("devices", select="name")
    assert row == {"devices": device, "device_integrations": {"name": broker["name"]}}


def test_received_is_stored_plus_duplicates_plus_failed(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)

    publish(admin.stack, [(f"{prefix}/a/telemetry", b"not json"), *readings(prefix, 4)])
    run_tick(admin.stack)

    metrics = admin.rows("integration_metrics", integration_id=f"eq.{broker['id']}", select="*")
    total = {
        name: sum(row[name] for row in metrics) for name in ("received", "stored", "duplicates", "failed")
    }
    assert total == {"received": 5, "stored": 4, "duplicates": 0, "failed": 1}


def test_nobody_in_another_organization_sees_any_of_it(admin: Platform, receiver: HttpReceiver) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix)
    admin.create("webhook", {"url": receiver.url})
    other = Platform(admin.stack, admin.stack.user("owner", 1))

    publish(admin.stack, readings(prefix, 2))
    run_tick(admin.stack)

    tables = ("device_messages", "devices", "webhook_deliveries", "webhook_attempts")
    assert [other.rows(table, select="id") for table in tables] == [[]] * len(tables)
    assert all(admin.rows(table, select="id") for table in tables)
    # What was written of their own integrations stays when these are deleted.
    activity = other.rows("integration_activity", select="organization_id")
    assert {row["organization_id"] for row in activity} <= {other.user.organization_id}


def test_webhooks_of_another_organization_hear_nothing(admin: Platform, receiver: HttpReceiver) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix)
    Platform(admin.stack, admin.stack.user("owner", 1)).create("webhook", {"url": receiver.url})

    publish(admin.stack, readings(prefix, 2))
    run_tick(admin.stack)

    assert receiver.requests == []


def test_a_webhook_hears_only_the_events_it_asks_for(admin: Platform, receiver: HttpReceiver) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix)
    admin.create("webhook", {"url": receiver.url, "events": ["device.state", "log"]})

    publish(admin.stack, [*readings(prefix, 2), (f"{prefix}/a/telemetry", b'{"status": "online"}')])
    run_tick(admin.stack)

    assert [orjson.loads(request.body)["type"] for request in receiver.requests] == ["device.state"]


def test_a_broker_that_is_down_says_so_and_the_others_go_on(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    healthy = connect_broker(admin, prefix)
    broken = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "port": find_free_port(), "topics": "#"})

    publish(admin.stack, readings(prefix, 5))
    run_tick(admin.stack, seconds=12)

    assert len(messages_of(admin, healthy)) == 5
    shown = admin.call("GET", f"/integrations/{broken['id']}").json()["integration"]
    assert shown["status"] == "error"
    assert "refused" in shown["error_message"]
    (entry,) = admin.rows("integration_activity", integration_id=f"eq.{broken['id']}", select="level,message")
    assert entry == {"level": "error", "message": shown["error_message"]}


def test_a_mended_config_is_tried_at_once_and_clears_the_error(admin: Platform) -> None:
    broker = urlsplit(admin.stack.mqtt_url)
    created = admin.create(
        "mqtt", {"broker_url": "mqtt://127.0.0.1", "port": find_free_port(), "topics": "a"}
    )
    run_tick(admin.stack, seconds=4)

    admin.call("PATCH", f"/integrations/{created['id']}", json={"config": {"port": broker.port}})
    run_tick(admin.stack, idle_seconds=0.3)

    shown = admin.call("GET", f"/integrations/{created['id']}").json()["integration"]
    assert (shown["status"], shown["error_message"], shown["sync_status"]) == ("active", None, "ok")
    assert shown["last_sync_at"]


def test_a_config_written_past_the_api_is_validated_when_it_is_used(admin: Platform) -> None:
    with admin.stack.connect() as connection:
        connection.execute(
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            """ values (%s, 'mqtt', 'Past the API', '{"broker_url": 5}')""",
            (admin.user.organization_id,),
        )

    run_tick(admin.stack, idle_seconds=0.3)

    (shown,) = admin.rows("device_integrations", name="eq.Past the API", select="status,error_message")
    assert shown["status"] == "error"
    assert "broker_url" in shown["error_message"]
    assert "topics" in shown["error_message"]


def test_an_inactive_integration_is_left_alone(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    admin.call("PATCH", f"/integrations/{broker['id']}", json={"status": "inactive"})

    publish(admin.stack, readings(prefix, 2))
    done = run_tick(admin.stack, idle_seconds=0.5)

    assert done["sessions"] == {}
    assert messages_of(admin, broker) == []


def test_a_failing_webhook_is_tried_again_in_the_same_tick_with_the_same_id(
    admin: Platform, receiver: HttpReceiver
) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix)
    webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": [0.2, 0.2]})
    receiver.answer = lambda _: Answer(200 if len(receiver.requests) > 2 else 503)

    publish(admin.stack, readings(prefix, 1))
    run_tick(admin.stack)

    (delivery,) = admin.rows(
        "webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="id,status,attempts"
    )
    attempts = admin.rows("webhook_attempts", delivery_id=f"eq.{delivery['id']}", select="*", order="attempt")
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 3)
    assert {request.headers["webhook-id"] for request in receiver.requests} == {delivery["id"]}
    assert [attempt["status_code"] for attempt in attempts] == [503, 503, 200]


def test_a_webhook_that_never_answers_well_ends_as_dead_letter(
    admin: Platform, receiver: HttpReceiver
) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix)
    webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": [0.1]})
    receiver.answer = lambda _: Answer(500, b"broken")

    publish(admin.stack, readings(prefix, 1))
    run_tick(admin.stack)

    (delivery,) = admin.rows(
        "webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="id,status,attempts"
    )
    assert (delivery["status"], delivery["attempts"], len(receiver.requests)) == ("dead", 2, 2)


def test_a_hanging_endpoint_delays_no_other(admin: Platform, receiver: HttpReceiver) -> None:
    prefix = uuid.uuid4().hex
    released = threading.Event()
    connect_broker(admin, prefix)
    with HttpReceiver(_hang_until(released)) as hanging:
        admin.create("webhook", {"url": receiver.url, "timeout_seconds": 30})
        slow = admin.create("webhook", {"url": hanging.url, "timeout_seconds": 1, "retry_schedule": [60]})
        publish(admin.stack, readings(prefix, 30))
        run_tick(admin.stack, seconds=8)
        released.set()

    attempts = admin.rows(
        "webhook_attempts",
        select="error,webhook_deliveries!inner(integration_id)",
        **{"webhook_deliveries.integration_id": f"eq.{slow['id']}"},
    )
    assert len(receiver.requests) == 30
    assert attempts
    assert all(attempt["error"].startswith("timeout") for attempt in attempts)
    pending = admin.rows(
        "webhook_deliveries", integration_id=f"eq.{slow['id']}", status="eq.pending", select="id"
    )
    assert len(pending) == 30


def _hang_until(released: threading.Event) -> Callable[[Received], Answer]:
    def answer(_: Received) -> Answer:
        released.wait(30)
        return Answer()

    return answer


def test_deleting_a_webhook_cancels_what_is_pending(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    webhook = admin.create(
        "webhook", {"url": f"http://127.0.0.1:{find_free_port()}/", "retry_schedule": [3600]}
    )
    publish(admin.stack, readings(prefix, 1))
    run_tick(admin.stack)
    (pending,) = admin.rows("webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="id,status")

    admin.call("DELETE", f"/integrations/{webhook['id']}")

    (cancelled,) = admin.rows("webhook_deliveries", id=f"eq.{pending['id']}", select="status")
    assert (pending["status"], cancelled["status"]) == ("pending", "cancelled")
    assert len(messages_of(admin, broker)) == 1


def test_two_schedulers_at_once_store_everything_once(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    publish(admin.stack, readings(prefix, 200))

    ticks = [threading.Thread(target=run_tick, args=(admin.stack, 10, 0.5)) for _ in range(2)]
    for tick in ticks:
        tick.start()
    for tick in ticks:
        tick.join()

    rows = messages_of(admin, broker)
    assert sorted(row["payload"]["temperature"] for row in rows) == list(range(200))


def test_database_connections_killed_in_mid_session_lose_and_double_nothing(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix)
    tick = threading.Thread(target=run_tick, args=(admin.stack, 30, 3))
    tick.start()
    publish(admin.stack, readings(prefix, 20, device="first"))
    # A lease whose answer is lost stays taken until it runs out; here the session has to be under way.
    wait_until(lambda: messages_of(admin, broker), "no session is under way")

    for part in range(5):
        publish(admin.stack, readings(prefix, 20, device=f"d{part}"))
        end_api_connections(admin.stack)
    tick.join()

    rows = messages_of(admin, broker)
    assert len(rows) == len({row["event_id"] for row in rows}) == 120


def test_a_tick_forgets_more_than_one_batch_of_what_is_past_its_time(admin: Platform) -> None:
    source = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")
    with admin.stack.connect() as connection:
        connection.execute(
            "insert into private.message_ledger (integration_id, organization_id, event_id, seen_at)"
            " select %s, %s, n::text, now() - interval '8 days' from generate_series(1, 45000) n",
            (source["id"], source["organization_id"]),
        )

    done = run_tick(admin.stack, 10, 3)

    assert done["maintenance"]["ids_forgotten"] == 45_000


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Scheduler-Secret": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic wrong"},
    ],
)
def test_only_the_scheduler_may_tick(stack: Stack, method: str, headers: dict[str, str]) -> None:
    reply = httpx.request(method, f"{stack.url}/functions/v1/scheduler", headers=headers, timeout=60)

    assert reply.status_code == 401
    assert reply.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"seconds=0.3&idle_seconds=0.1&job=42"),
        ("application/x-www-form-urlencoded", b'{"seconds": 0.3}'),
        ("application/octet-stream", b'{"seconds": 0.3}'),
        ("text/plain; charset=utf-8", b'{"seconds": 0.3}'),
        ("", b'{"seconds": 0.3}'),
        ("application/json", b"null"),
        ("application/json", b'{"seconds": 0.3, "jobName": "tick", "scheduledTime": "2026-11-29T08:00:00Z"}'),
    ],
)
def test_the_body_of_a_tick_is_read_as_cron_services_send_it(
    stack: Stack, content_type: str, body: bytes
) -> None:
    headers = {"X-Scheduler-Secret": stack.scheduler_secret} | (
        {"Content-Type": content_type} if content_type else {}
    )
    begun = time.monotonic()

    query = "?seconds=0.3&_=1764421200" if body == b"null" else ""
    reply = httpx.post(
        f"{stack.url}/functions/v1/scheduler{query}", content=body, headers=headers, timeout=90
    )

    assert reply.status_code == 200, reply.text
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_tick_may_be_asked_for_without_a_body(stack: Stack, method: str) -> None:
    url = f"{stack.url}/functions/v1/scheduler"
    proof = {"X-Scheduler-Secret": stack.scheduler_secret}

    ticked = httpx.request(method, f"{url}?seconds=0.3&job=42", headers=proof, timeout=40)
    refused = httpx.request(method, f"{url}?seconds=long", headers=proof, timeout=40)

    assert (ticked.status_code, refused.status_code) == (200, 400)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_tick_of_no_length_is_refused_by_its_field(stack: Stack, content_type: str) -> None:
    body = b'{"seconds": 0}' if content_type.endswith("json") else b"seconds=0"
    headers = {"X-Scheduler-Secret": stack.scheduler_secret, "Content-Type": content_type}

    reply = httpx.post(f"{stack.url}/functions/v1/scheduler", content=body, headers=headers, timeout=90)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, ["seconds"])


@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "BEARER"])
@pytest.mark.parametrize("proof", ["service_role_key", "scheduler_secret"])
def test_a_bearer_token_may_tick_in_any_letter_case_of_its_scheme(
    stack: Stack, scheme: str, proof: str
) -> None:
    headers = {"Authorization": f"{scheme} {getattr(stack, proof)}"}

    reply = httpx.post(
        f"{stack.url}/functions/v1/scheduler", json={"seconds": 0.2}, headers=headers, timeout=20
    )

    assert reply.status_code == 200


def test_the_service_key_may_tick(admin: Platform) -> None:
    headers = {"Authorization": f"Bearer {admin.stack.service_role_key}"}

    reply = httpx.post(
        f"{admin.stack.url}/functions/v1/scheduler", json={"seconds": 2}, headers=headers, timeout=20
    )

    assert reply.status_code == 200
    assert set(reply.json()) == {"sessions", "commands", "jobs", "deliveries", "maintenance"}
