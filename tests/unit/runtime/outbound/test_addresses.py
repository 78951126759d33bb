"""Integrations reach the public internet and what the operator lists, and nothing else."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from shared.runtime.errors import AddressBlocked
from shared.runtime.outbound import AddressPolicy, SocketAddress, load_policy, resolve_checked
from shared.runtime.outbound.addresses import BLOCKED, OPENABLE
from shared.runtime.settings import load_settings

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "172.32.0.1",
    "11.0.0.1",
]
OPENABLE_ADDRESSES = [
    *("127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::ffff:10.0.0.1"),
    *("100.64.0.1", "100.127.255.255", "fc00::1", "fdff::1"),
]
NEVER = [
    *("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"),  # noqa: S104 - refused, not bound
    *("169.254.169.254", "::ffff:169.254.169.254", "169.254.0.1", "fe80::1", "fec0::1"),
    *("168.63.129.16", "::ffff:168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
    *("224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255", "240.0.0.1"),
    *("192.0.0.1", "192.0.0.255", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *(
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "2002:7f00:1::",
    ),
    *("100::1", "2001::1", "2001:db8::1", "3fff::1", "5f00::1", "fe80::1%eth0"),
    *(
        "fd00:ec2::254%1",
        "fd20:ce::254%eth0",
        "fd00::1%1",
        "::1%lo",
        "::ffff:127.0.0.1%1",
        "::ffff:169.254.169.254%1",
    ),
]
WIDEST = AddressPolicy.from_text("0.0.0.0/0,::/0," + ",".join(str(network) for network in OPENABLE))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert AddressPolicy().find_objection(address) is None


@pytest.mark.parametrize("address", OPENABLE_ADDRESSES + NEVER)
def test_without_a_list_only_public_addresses_may_be_reached(address: str) -> None:
    assert AddressPolicy().find_objection(address)


@pytest.mark.parametrize("address", OPENABLE_ADDRESSES)
def test_loopback_and_private_networks_open_when_they_are_listed(address: str) -> None:
    assert WIDEST.find_objection(address) is None


@pytest.mark.parametrize("address", NEVER)
def test_link_local_metadata_multicast_and_reserved_never_open(address: str) -> None:
    assert "no integration may reach" in (WIDEST.find_objection(address) or "")


@pytest.mark.parametrize(
    "address", [address for address in (*PUBLIC, *OPENABLE_ADDRESSES, *NEVER) if ":" in address]
)
def test_no_address_passes_with_a_zone(address: str) -> None:
    zoned = f"{address.partition('%')[0]}%1"

    assert WIDEST.find_objection(zoned)
    assert WIDEST.find_plain_objection(zoned)
    assert not AddressPolicy.from_text("0.0.0.0/0,::/0").find_objection("2606:4700:4700::1111")


@pytest.mark.parametrize("address", OPENABLE_ADDRESSES)
@pytest.mark.parametrize("text", ["0.0.0.0/0,::/0", "0.0.0.0/1,128.0.0.0/1,::/1,8000::/1"])
def test_a_network_wider_than_the_private_one_opens_nothing(text: str, address: str) -> None:
    assert AddressPolicy.from_text(text).find_objection(address)


@pytest.mark.parametrize("network", BLOCKED + tuple(OPENABLE), ids=str)
def test_both_ends_of_every_range_on_the_list_are_refused(network: object) -> None:
    ends = ip_network(str(network))

    assert AddressPolicy().find_objection(str(ends[0]))
    assert AddressPolicy().find_objection(str(ends[-1]))


def test_only_the_listed_part_of_a_network_opens() -> None:
    policy = AddressPolicy.from_text("10.1.0.0/16, 192.168.7.7")

    assert policy.find_objection("10.1.2.3") is None
    assert policy.find_objection("192.168.7.7") is None
    assert policy.find_objection("10.2.0.1")
    assert policy.find_objection("192.168.7.8")


def test_plain_http_is_for_listed_addresses_only() -> None:
    policy = AddressPolicy.from_text("10.0.0.0/8, 8.8.8.8")

    assert policy.find_plain_objection("10.0.0.1") is None
    assert policy.find_plain_objection("8.8.8.8") is None
    assert "https" in (policy.find_plain_objection("1.1.1.1") or "")
    assert "private" in (policy.find_plain_objection("192.168.0.1") or "")


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0.1/8", "localhost", "10.0.0.0/8,", ",", "10.0.0.0/8;::1"]
)
def test_a_malformed_list_is_refused_by_name(text: str) -> None:
    with pytest.raises(RuntimeError, match=r"OUTBOUND_ALLOW: entry \d, '.*', is not a network"):
        AddressPolicy.from_text(text)


def test_the_refusal_names_the_host_and_the_remedy() -> None:
    answer = SocketAddress(socket.AF_INET, "10.0.0.7", 443)

    with pytest.raises(AddressBlocked) as caught:
        resolve_checked("db.internal", 443, 5, policy=AddressPolicy(), look_up=lambda *_: [answer])

    assert str(caught.value) == (
        "db.internal is at a private address, in 10.0.0.0/8; the operator can list its network in OUTBOUND_ALLOW."
    )


def test_the_operators_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_ALLOW", "127.0.0.0/8")
    load_settings.cache_clear()

    try:
        assert load_policy().find_objection("127.0.0.1") is None
        assert load_policy().find_objection("10.0.0.1") is not None
        assert load_policy() is load_policy()
    finally:
        load_settings.cache_clear()
