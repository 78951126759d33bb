"""A cluster says by itself where its brokers are: no connection goes where an integration may not reach (SSRF)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from shared.provider import Event, Identity
from shared.runtime.deadline import Deadline
from shared.runtime.errors import AddressBlocked
from tests.fakes.kafka.front import Front
from tests.fakes.kafka.site import make_kafka, make_readings, produce
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
REFUSED = [
    "169.254.169.254",
    "10.0.0.1",
    "::ffff:169.254.169.254",
    "fd00:ec2::254",
    "0.0.0.8",
    "100.100.100.200",
]


@pytest.fixture(autouse=True)
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that this process has connected sockets to."""
    found: list[str] = []
    connect = socket.socket.connect

    def watch(self: socket.socket, address: Any) -> Any:
        found.append(str(address[0]))
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watch)
    return found


@pytest.mark.parametrize("address", REFUSED)
def test_an_advertised_broker_that_may_not_be_reached_ends_the_session_with_its_reason(
    servers: str, address: str, dialled: list[str]
) -> None:
    produce(servers, make_readings(range(3)))
    deadline = Deadline(60)

    with Front(servers, advertise=(address, 9092)) as front, pytest.raises(AddressBlocked, match=address):
        Ledger().watch(make_kafka(f"127.0.0.1:{front.port}"), 60)

    assert not deadline.expired
    assert address not in dialled


@pytest.mark.parametrize("address", REFUSED[:2])
def test_nothing_is_produced_to_one_either(servers: str, address: str, dialled: list[str]) -> None:
    produce(servers, [b"{}"], topic="events")
    source = Identity("organization", "i", "mqtt")
    event = Event("e", "device.telemetry", "telemetry", "2026-11-30T00:00:00+00:00", "organization", source)

    with Front(servers, advertise=(address, 9092)) as front, pytest.raises(AddressBlocked, match=address):
        list(make_kafka(f"127.0.0.1:{front.port}", events_topic="events").publish([event], Deadline(20)))

    assert address not in dialled


def test_the_connection_test_says_which_broker_it_is(servers: str, dialled: list[str]) -> None:
    produce(servers, make_readings([1]))

    with Front(servers, advertise=("10.0.0.1", 9092)) as front:
        *_, last = make_kafka(f"127.0.0.1:{front.port}").check()

    assert (last.name, last.ok) == ("brokers", False)
    assert "The cluster says that broker 1 is at 10.0.0.1:9092." in last.detail
    assert "10.0.0.1" not in dialled


def test_a_name_that_means_another_address_a_moment_later_is_dialled_where_it_was_checked(
    servers: str, monkeypatch: pytest.MonkeyPatch, dialled: list[str]
) -> None:
    produce(servers, make_readings(range(3)))
    port = int(servers.rpartition(":")[2])
    answers = ["127.0.0.1", "169.254.169.254"]

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        address = answers.pop(0) if host == "kafka.example.com" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with Front(servers, advertise=("127.0.0.1", port)) as front:
        port_there = front.port
        answers[:] = ["127.0.0.1", "169.254.169.254"]
        ledger = Ledger()
        ledger.run(make_kafka(f"kafka.example.com:{port_there}"), 3)
        first = list(answers)
        with pytest.raises(AddressBlocked, match=r"kafka\.example\.com"):
            ledger.run(make_kafka(f"kafka.example.com:{port_there}"), 3)

    assert first == ["169.254.169.254"]
    assert set(dialled) == {"127.0.0.1"}


def test_what_an_admin_writes_is_checked_too(dialled: list[str]) -> None:
    with pytest.raises(AddressBlocked):
        Ledger().run(make_kafka("169.254.169.254:9092"))

    assert dialled == []
