"""What a connection asks of a real mosquitto when it subscribes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.provider.broker import MQTT_5, Broker
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.paho_client import Login
from tests.fakes.brokers import make_mosquitto, publish_all

pytestmark = pytest.mark.usefixtures("allow_loopback")

SECONDS = 5.0
QUIET_SECONDS = 0.3


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], Connection]]:
    """Opens the connection of one client id; that of the call before is closed."""
    opened: list[Connection] = []
    with make_mosquitto(tmp_path) as broker:

        def open_connection() -> Connection:
            for connection in opened:
                connection.abort()
            opened.append(Connection(Broker("127.0.0.1", broker.port), Login("client"), MQTT_5))
            opened[-1].open(SECONDS)
            return opened[-1]

        yield open_connection
        opened[-1].close()


def receive_all(connection: Connection) -> list[bytes]:
    received: list[bytes] = []
    while publishes := connection.receive(QUIET_SECONDS):
        received += [publish.body for publish in publishes]
    return received


def test_what_a_connection_publishes_does_not_come_back_to_it(connect: Callable[[], Connection]) -> None:
    connection = connect()
    connection.subscribe({"a": 1}, SECONDS)

    connection.wait_published(connection.publish("a", b"own"), SECONDS)
    publish_all(connection._broker.port, [("a", b"another's")])

    assert receive_all(connection) == [b"another's"]


def test_retained_messages_come_with_a_new_subscription_and_not_with_one_that_was_there(
    connect: Callable[[], Connection],
) -> None:
    publish_all(connect()._broker.port, [("a", b"kept")], retain=True)
    first = connect()
    first.subscribe({"a": 1}, SECONDS)
    (publish,) = first.receive(SECONDS)
    first.acknowledge([publish.packet_id])
    first.close()

    again = connect()
    again.subscribe({"a": 1}, SECONDS)

    assert publish.body == b"kept"
    assert receive_all(again) == []
