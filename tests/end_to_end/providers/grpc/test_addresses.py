"""A service is called at the address that was checked, as the host that was written: DNS can't lead it elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from shared.provider import (
    AddressBlocked,
    ConnectionRefused,
    OutsideError,
    ProtocolFailed,
    TimedOut,
    TlsFailed,
)
from shared.runtime.settings import load_settings
from tests.fakes.certificates import PemAuthority
from tests.fakes.grpc.server import FakeService
from tests.fakes.grpc.site import STREAM, make_grpc
from tests.fakes.mqtt_driver import SECONDS, Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
HOST = "device.example"
REFUSED = [
    "169.254.169.254",
    "10.0.0.1",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "0.0.0.8",
    "100.100.100.200",
]
Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Says what the name means, one look-up after the other; the last answer stays."""
    look_up = socket.getaddrinfo

    def answer(*addresses: str) -> None:
        left = list(addresses)

        def find(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            if host != HOST:
                return look_up(host, port, type=socket.SOCK_STREAM)
            address = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", find)

    return answer


def drain(provider: Any) -> Ledger:
    ledger = Ledger()
    ledger.watch(provider, SECONDS)
    return ledger


@pytest.mark.parametrize("address", REFUSED)
def test_an_inner_address_gets_no_connection(address: str) -> None:
    for config in ({"use_tls": True}, {"use_tls": False}):
        with pytest.raises(AddressBlocked):
            drain(make_grpc(443, host=address, **config, **STREAM))


def test_without_an_operators_word_loopback_gets_none_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_ALLOW", "")
    load_settings.cache_clear()
    with FakeService() as service:
        with pytest.raises(AddressBlocked):
            drain(make_grpc(service.port, **STREAM))

        assert service.opened == []


def test_a_public_service_is_not_called_without_tls(resolve: Resolve) -> None:
    resolve("93.184.216.34")

    with pytest.raises(AddressBlocked, match="only called with TLS"):
        drain(make_grpc(50_051, host=HOST, **STREAM))


def test_a_name_that_means_another_address_a_moment_later_is_called_where_it_was_checked(
    resolve: Resolve,
) -> None:
    with FakeService() as service:
        service.add(3)
        resolve("127.0.0.1", "169.254.169.254")
        ledger = Ledger()

        ledger.run(make_grpc(service.port, host=HOST, **STREAM), 3)
        with pytest.raises(AddressBlocked, match=HOST):
            ledger.run(make_grpc(service.port, host=HOST, **STREAM), 3)

    assert len(service.opened) == 1


def test_the_certificate_is_verified_against_the_host_and_its_authority(resolve: Resolve) -> None:
    authority, stranger = PemAuthority(), PemAuthority("Somebody else")
    resolve("127.0.0.1")
    with FakeService(tls=authority.issue(HOST, address=HOST)) as service:
        service.add(3)
        good = make_grpc(service.port, host=HOST, use_tls=True, ca_certificate=authority.pem, **STREAM)
        ledger = Ledger()
        ledger.run(good, 3)
        with pytest.raises(TlsFailed, match="certificate was refused"):
            drain(make_grpc(service.port, host=HOST, use_tls=True, ca_certificate=stranger.pem, **STREAM))
        with pytest.raises(TlsFailed, match=r"made for 127\.0\.0\.1"):
            drain(make_grpc(service.port, use_tls=True, ca_certificate=authority.pem, **STREAM))
        with pytest.raises(TlsFailed):
            drain(make_grpc(service.port, host=HOST, use_tls=True, **STREAM))

    assert len(service.opened) == 1


def test_an_expired_certificate_is_told_by_its_own_kind(resolve: Resolve) -> None:
    authority = PemAuthority()
    resolve("127.0.0.1")
    expired = authority.issue(HOST, address=HOST, days=-1)
    with FakeService(tls=expired) as service, pytest.raises(TlsFailed) as refusal:
        drain(make_grpc(service.port, host=HOST, use_tls=True, ca_certificate=authority.pem, **STREAM))

    assert refusal.value.code == "certificate_expired"


def test_a_service_that_wants_a_certificate_gets_ours(resolve: Resolve) -> None:
    authority = PemAuthority()
    ours = authority.issue("platform", address=HOST)
    resolve("127.0.0.1")
    tls: dict[str, Any] = {"host": HOST, "use_tls": True, "ca_certificate": authority.pem}
    with FakeService(tls=authority.issue(HOST, address=HOST), client_ca=authority.pem) as service:
        service.add(3)
        ledger = Ledger()
        ledger.run(
            make_grpc(
                service.port, **tls, client_certificate=ours.certificate, client_key=ours.key, **STREAM
            ),
            3,
        )
        with pytest.raises(TlsFailed, match="client certificate"):
            drain(make_grpc(service.port, **tls, **STREAM))

    assert len(ledger.stored) == 3


def test_the_host_is_the_authority_whatever_the_address(resolve: Resolve) -> None:
    resolve("127.0.0.1")
    with FakeService() as service:
        service.follows = False
        drain(make_grpc(service.port, host=HOST, **STREAM))

    assert set(service.authorities) == {f"{HOST}:{service.port}"}


def test_tls_where_there_is_none_and_none_where_there_is(resolve: Resolve) -> None:
    authority = PemAuthority()
    resolve("127.0.0.1")
    with FakeService() as plain, FakeService(tls=authority.issue(HOST, address=HOST)) as secured:
        with pytest.raises(OutsideError, match="TLS"):
            drain(make_grpc(plain.port, host=HOST, use_tls=True, ca_certificate=authority.pem, **STREAM))
        with pytest.raises(ProtocolFailed, match="does not speak gRPC"):
            drain(make_grpc(secured.port, host=HOST, **STREAM))


def test_a_port_where_nobody_is() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefused, match="refused the connection"):
            drain(make_grpc(taken.getsockname()[1], **STREAM))


def test_a_port_that_says_nothing_ends_within_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises((TimedOut, ProtocolFailed)):
            drain(make_grpc(silent.getsockname()[1], **STREAM))
