"""/commands: from a member's request to the device's topic."""

from __future__ import annotations

import threading
import uuid
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.platform import Platform, run_tick
from tests.stack import Stack


def make_device(admin: Platform, prefix: str, **config: Any) -> dict[str, Any]:
    """A device that has said something on a new MQTT integration."""
    broker = connect_broker(admin, prefix, **config)
    publish(admin.stack, readings(prefix, 1, device="pump"))
    run_tick(admin.stack, idle_seconds=0.5)
    (device,) = admin.rows("devices", integration_id=f"eq.{broker['id']}", select="id,external_id")
    return device


def listen(stack: Stack, topic: str, heard: list[tuple[str, bytes]]) -> mqtt.Client:
    """The device: a client that hears what is published on its topic."""
    subscribed = threading.Event()
    broker = urlsplit(stack.mqtt_url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append((message.topic, bytes(message.payload)))
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(broker.hostname or "", broker.port or 1883)
    client.subscribe(topic, 1)
    client.loop_start()
    assert subscribed.wait(10)
    return client


def test_a_command_reaches_the_device_and_its_outcome_is_recorded(admin: Platform, stack: Stack) -> None:
    prefix = uuid.uuid4().hex
    device = make_device(admin, prefix, command_topic=f"{prefix}/{{device}}/commands/{{name}}")
    heard: list[tuple[str, bytes]] = []
    client = listen(stack, f"{prefix}/pump/commands/#", heard)
    member = Platform(stack, stack.user("member", 0))

    reply = member.call(
        "POST", "/commands", json={"device_id": device["id"], "name": "stop", "payload": {"now": True}}
    )
    done = run_tick(stack, idle_seconds=1)
    client.disconnect()
    client.loop_stop()

    created = reply.json()["command"]
    assert (reply.status_code, created["status"]) == (202, "pending")
    assert reply.headers["Location"] == f"/functions/v1/commands/{created['id']}"
    assert heard == [(f"{prefix}/pump/commands/stop", b'{"now":true}')]
    shown = member.call("GET", f"/commands/{created['id']}").json()["command"]
    assert (shown["status"], shown["attempts"]) == ("sent", 1)
    assert done["commands"] == {"sent": 1, "retried": 0, "failed": 0}


def test_our_own_command_does_not_come_back_as_a_message(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    topics = f"{prefix}/#"
    device = make_device(admin, prefix, topics=topics, command_topic=f"{prefix}/{{device}}/commands/{{name}}")
    before = len(admin.rows("device_messages", device_id=f"eq.{device['id']}", select="id"))

    admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"})
    run_tick(admin.stack, idle_seconds=1)
    run_tick(admin.stack, idle_seconds=1)

    assert len(admin.rows("device_messages", device_id=f"eq.{device['id']}", select="id")) == before


@pytest.mark.parametrize(
    ("config", "name", "words"),
    [
        ({}, "stop", "Set command_topic"),
        ({"command_topic": "c/{device}/{name}"}, "a/b", "can't be part of a topic"),
        ({"command_topic": "c/{device}/{name}"}, "#", "can't be part of a topic"),
    ],
)
def test_a_command_that_can_never_be_sent_is_refused_at_once(
    admin: Platform, config: dict[str, str], name: str, words: str
) -> None:
    device = make_device(admin, uuid.uuid4().hex, **config)

    reply = admin.call("POST", "/commands", json={"device_id": device["id"], "name": name})

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert words in reply.json()["detail"]
    assert "command-user" in reply.headers["RateLimit"]
    assert admin.rows("device_commands", device_id=f"eq.{device['id']}", select="id") == []


def test_a_command_past_the_api_that_can_never_be_sent_is_tried_once(admin: Platform, stack: Stack) -> None:
    device = make_device(admin, uuid.uuid4().hex)
    with stack.connect() as connection:
        connection.execute(
            "insert into device_commands (device_id, name) values (%s, 'stop')", (device["id"],)
        )

    run_tick(admin.stack, idle_seconds=0.5)

    (shown,) = admin.rows("device_commands", device_id=f"eq.{device['id']}", select="status,attempts,error")
    assert (shown["status"], shown["attempts"]) == ("failed", 1)
    assert "command_topic" in shown["error"]


def test_a_command_to_a_device_of_a_type_that_takes_none_is_refused_at_once(
    admin: Platform, stack: Stack
) -> None:
    hook = admin.create("webhook", {"url": "https://hooks.example.com/a"})
    with stack.connect() as connection:
        (row,) = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name)"
            " values (%s, %s, %s, 'Pump') returning id",
            (hook["organization_id"], hook["id"], uuid.uuid4().hex),
        ).fetchall()

    reply = admin.call("POST", "/commands", json={"device_id": str(row[0]), "name": "stop"})

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")


@pytest.mark.parametrize("payload", [None, 0, False, "", [], {}])
def test_every_payload_but_null_is_taken(admin: Platform, payload: object) -> None:
    device = make_device(admin, uuid.uuid4().hex, command_topic="c/{device}/{name}")

    reply = admin.call(
        "POST", "/commands", json={"device_id": device["id"], "name": "stop", "payload": payload}
    )

    if payload is None:
        assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, ["payload"])
        assert "constraint" not in reply.text
    else:
        assert (reply.status_code, reply.json()["command"]["payload"]) == (202, payload)


def test_a_command_that_expired_is_not_sent(admin: Platform, stack: Stack) -> None:
    device = make_device(admin, uuid.uuid4().hex, command_topic="c/{device}/{name}")
    created = admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"}).json()[
        "command"
    ]
    with stack.connect() as connection:
        connection.execute("update device_commands set expires_at = now() where id = %s", (created["id"],))

    run_tick(stack, idle_seconds=0.5)

    shown = admin.call("GET", f"/commands/{created['id']}").json()["command"]
    assert (shown["status"], shown["attempts"]) == ("expired", 0)


@pytest.mark.parametrize(
    ("role", "organization", "status"), [("viewer", 0, 403), ("owner", 1, 404), ("stranger", 0, 404)]
)
def test_only_members_of_the_organization_may_send(
    admin: Platform, stack: Stack, role: str, organization: int, status: int
) -> None:
    device = make_device(admin, uuid.uuid4().hex)
    caller = Platform(stack, stack.user(role, organization))

    reply = caller.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"})

    assert reply.status_code == status
    assert admin.rows("device_commands", device_id=f"eq.{device['id']}", select="id") == []


def test_a_strangers_view_of_a_command_is_not_found(admin: Platform, stack: Stack) -> None:
    device = make_device(admin, uuid.uuid4().hex, command_topic="c/{device}/{name}")
    created = admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"}).json()[
        "command"
    ]

    reply = Platform(stack, stack.user("owner", 1)).call("GET", f"/commands/{created['id']}")

    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"device_id": "x"}, "device_id"),
        ({"name": " "}, "name"),
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_in_seconds": True}, "expires_in_seconds"),
    ],
)
def test_a_wrong_field_is_named(admin: Platform, fields: dict[str, Any], field: str) -> None:
    body = {"device_id": str(uuid.uuid4()), "name": "stop"} | fields

    reply = admin.call("POST", "/commands", json=body)

    assert reply.status_code == 400
    assert [error["field"] for error in reply.json()["errors"]] == [field]
