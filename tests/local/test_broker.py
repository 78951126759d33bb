"""The local broker keeps what MQTT 3.1.1 says: sessions, queued messages, unacknowledged messages, their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scripts.local.broker_sessions import MAX_IN_FLIGHT
from tests.stack import Stack

SECONDS = 20.0


class Device:
    """A paho client driven by hand that acknowledges only when told."""

    def __init__(self, stack: Stack, name: str, *, clean: bool = True) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self.answer: tuple[Any, Any] | None = None
        self.granted: list[Any] = []
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            name,
            clean_session=clean,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self.client.on_connect = self._note_answer
        self.client.on_message = lambda _client, _data, message: self.messages.append(message)
        self.client.on_subscribe = lambda *arguments: self.granted.extend(arguments[3])
        address = urlsplit(stack.mqtt_url)
        self.client.connect(address.hostname or "", address.port or 0, 30)
        self.run_until(lambda: self.answer is not None)

    def _note_answer(self, _client: Any, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        self.answer = (code, flags.session_present)

    @property
    def session_present(self) -> bool:
        return bool(self.answer and self.answer[1])

    @property
    def payloads(self) -> list[bytes]:
        return [bytes(message.payload) for message in self.messages]

    def run_until(self, done: Callable[[], bool], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self.client.loop(0.02)

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, 1)
        self.run_until(lambda: bool(self.granted))

    def publish(self, topic: str, payloads: list[bytes], *, retain: bool = False) -> None:
        sent = [self.client.publish(topic, payload, 1, retain) for payload in payloads]
        self.run_until(lambda: all(info.is_published() for info in sent))

    def acknowledge(self, messages: list[mqtt.MQTTMessage]) -> None:
        for message in messages:
            self.client.ack(message.mid, message.qos)
        self.run_until(lambda: False, 0.1)

    def leave(self) -> None:
        self.client.disconnect()
        self.run_until(lambda: False, 0.1)


@pytest.fixture
def topic() -> str:
    """A topic of this test alone: all tests share the broker."""
    return f"tests/{uuid4().hex}"


@contextmanager
def connected(stack: Stack, name: str = "", *, clean: bool = True) -> Iterator[Device]:
    device = Device(stack, name or uuid4().hex, clean=clean)
    try:
        yield device
    finally:
        device.leave()


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def subscribe_and_leave(stack: Stack, name: str, topic: str) -> None:
    with connected(stack, name, clean=False) as reader:
        reader.subscribe(topic)
        assert not reader.session_present


def test_messages_wait_for_an_absent_reader_in_order_and_are_not_marked_retained(
    stack: Stack, topic: str
) -> None:
    subscribe_and_leave(stack, topic, topic)
    with connected(stack) as writer:
        writer.publish(topic, numbered(50))

    with connected(stack, topic, clean=False) as reader:
        reader.run_until(lambda: len(reader.messages) == 50)

        assert reader.session_present
        assert reader.payloads == numbered(50)
        assert not any(message.retain or message.dup for message in reader.messages)


@pytest.mark.parametrize("orderly", [True, False])
def test_what_was_not_acknowledged_comes_again_marked_as_a_repeat(
    stack: Stack, topic: str, *, orderly: bool
) -> None:
    subscribe_and_leave(stack, topic, topic)
    with connected(stack) as writer:
        writer.publish(topic, numbered(30))
    first = Device(stack, topic, clean=False)
    first.run_until(lambda: len(first.messages) == 30)
    first.acknowledge(first.messages[:10])

    first.leave() if orderly else first.client.socket().close()  # type: ignore[union-attr]

    with connected(stack, topic, clean=False) as second:
        second.run_until(lambda: len(second.messages) == 20)
        assert second.payloads == numbered(30)[10:]
        assert all(message.dup for message in second.messages)


def test_a_slow_reader_loses_nothing(stack: Stack, topic: str) -> None:
    """amqtt itself forgets a message after five seconds."""
    with connected(stack, topic, clean=False) as reader, connected(stack) as writer:
        reader.subscribe(topic)
        writer.publish(topic, numbered(3))
        reader.run_until(lambda: len(reader.messages) == 3)

        reader.run_until(lambda: False, 6)

    with connected(stack, topic, clean=False) as again:
        again.run_until(lambda: len(again.messages) == 3)
        assert again.payloads == numbered(3)


def test_a_long_queue_comes_in_windows_and_completely(stack: Stack, topic: str) -> None:
    count = MAX_IN_FLIGHT + 500
    subscribe_and_leave(stack, topic, topic)
    with connected(stack) as writer:
        writer.publish(topic, numbered(count))

    with connected(stack, topic, clean=False) as reader:
        reader.run_until(lambda: len(reader.messages) >= MAX_IN_FLIGHT)
        reader.run_until(lambda: len(reader.messages) > MAX_IN_FLIGHT, 0.3)
        assert len(reader.messages) == MAX_IN_FLIGHT

        reader.acknowledge(list(reader.messages))
        reader.run_until(lambda: len(reader.messages) == count)
        assert reader.payloads == numbered(count)
        reader.acknowledge(reader.messages[MAX_IN_FLIGHT:])


def test_a_retained_message_comes_with_a_subscription_and_only_to_its_subscriber(
    stack: Stack, topic: str
) -> None:
    with connected(stack) as writer:
        writer.publish(f"{topic}/state", [b"on"], retain=True)

    with connected(stack) as reader, connected(stack) as stranger:
        reader.subscribe(f"{topic}/#")
        reader.run_until(lambda: bool(reader.messages))
        stranger.subscribe("tests/elsewhere")
        stranger.run_until(lambda: bool(stranger.messages), 0.5)

        assert [(message.payload, message.retain) for message in reader.messages] == [(b"on", True)]
        assert stranger.messages == []


def test_an_mqtt_5_client_is_told_at_once_that_it_is_3_1_1(stack: Stack) -> None:
    answers: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "five", protocol=MQTTProtocolVersion.MQTTv5)
    client.on_connect = lambda *arguments: answers.append(str(arguments[3]))
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
    properties.SessionExpiryInterval = 3600
    address = urlsplit(stack.mqtt_url)

    client.connect(address.hostname or "", address.port or 0, clean_start=False, properties=properties)
    while not answers:
        client.loop(0.1)

    assert answers == ["Unsupported protocol version"]
