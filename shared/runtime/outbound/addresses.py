"""Which addresses integrations may reach (SSRF): the public internet, and what the operator lists in OUTBOUND_ALLOW.

Block list: facts of Svix's sender plus the ranges it lacks; `ipaddress.is_global` alone lets through multicast,
NAT64, 192.88.99/24, 3fff::/20, 5f00::/16, fec0::/10, ::127.0.0.1 and 168.63.129.16.
"""

from __future__ import annotations

import socket
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from shared.runtime.settings import load_settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

OPENABLE: dict[Network, str] = {
    ip_network("127.0.0.0/8"): "loopback",
    ip_network("::1/128"): "loopback",
    ip_network("10.0.0.0/8"): "private",
    ip_network("172.16.0.0/12"): "private",
    ip_network("192.168.0.0/16"): "private",
    ip_network("100.64.0.0/10"): "carrier-grade NAT",
    ip_network("fc00::/7"): "private",
}
"""Refused unless OUTBOUND_ALLOW lists them, or a part of them, by name: 0.0.0.0/0 opens none."""

PRIVATE_NAMES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
"""The ends of names that only private networks resolve (RFC 6761, 6762, 8375; .internal by ICANN)."""

METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"))
)
"""Cloud metadata services (AWS, Google, Azure's wire server, Alibaba): refused always, whatever is listed."""

BLOCKED: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *(
                "0.0.0.0/8",
                "169.254.0.0/16",
                "192.0.0.0/24",
                "192.0.2.0/24",
                "192.88.99.0/24",
                "198.18.0.0/15",
            ),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            *("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23"),
            *("2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fe80::/10", "fec0::/10", "ff00::/8"),
        ),
    )
)
"""Refused always: this-network, link-local, multicast, reserved, documentation, and forms that wrap an IPv4."""

_NEVER = "is at an address that no integration may reach (link-local, metadata, multicast or reserved)"


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What may be reached beyond the public internet. `allow` is the operator's list."""

    allow: tuple[Network, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> AddressPolicy:
        """The policy of OUTBOUND_ALLOW's `text`, networks separated by commas; RuntimeError where malformed."""
        entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
        return cls(tuple(_parse_network(entry, position) for position, entry in enumerate(entries, start=1)))

    def find_objection(self, address: str) -> str | None:
        """Why `address` (numeric) may not be reached, as a phrase after the host's name; None where it may."""
        ip = _unwrap(address)
        if "%" in address:
            # With a zone, fd00:ec2::254%1 equals no address on any list, and leads there all the same.
            return _NEVER
        for network, kind in OPENABLE.items():
            if ip in network and ip not in METADATA:
                return None if self._opens(ip, network) else _describe_openable(kind, network)
        if ip in METADATA or not ip.is_global or any(ip in network for network in BLOCKED):
            return _NEVER
        return None

    def find_plain_objection(self, address: str) -> str | None:
        """As `find_objection`, for plain http, which only addresses on the operator's list may be sent."""
        if objection := self.find_objection(address):
            return objection
        if any(_unwrap(address) in network for network in self.allow):
            return None
        return "is only reached over https: plain http would show the credentials to everyone on the way"

    def _opens(self, ip: Address, network: Network) -> bool:
        return any(ip in entry and _is_part(entry, network) for entry in self.allow)


def is_public(host: str) -> bool:
    """Whether what is sent to `host` goes over the public internet, as far as its name tells: nothing is looked up.

    Private are a machine's own and private addresses, what OUTBOUND_ALLOW lists, names without a full stop, and those
    under the names that are kept for private networks.
    """
    # As the resolver reads it, which folds full-width letters and the full stops of other scripts.
    name = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    address = _read_address(name)
    if address is None:
        return "." in name and not name.endswith(PRIVATE_NAMES)
    listed = (*OPENABLE, *load_policy().allow)
    return not (address.is_link_local or any(address in network for network in listed))


def load_policy() -> AddressPolicy:
    """The operator's policy, from OUTBOUND_ALLOW; RuntimeError where that is malformed."""
    return _parse_policy(load_settings().outbound_allow)


_parse_policy = lru_cache(maxsize=8)(AddressPolicy.from_text)


def _read_address(host: str) -> Address | None:
    """The address that the resolver takes `host` for, in disguise too (16843009 is 1.1.1.1); None for a name."""
    try:
        return _unwrap(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _unwrap(address: str) -> Address:
    ip = ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _is_part(entry: Network, network: Network) -> bool:
    return entry.version == network.version and network.supernet_of(entry)  # type: ignore[arg-type]


def _describe_openable(kind: str, network: Network) -> str:
    return f"is at a {kind} address, in {network}; the operator can list its network in OUTBOUND_ALLOW"


def _parse_network(entry: str, position: int) -> Network:
    try:
        return ip_network(entry)
    except ValueError:
        raise RuntimeError(
            f"OUTBOUND_ALLOW: entry {position}, {entry!r}, is not a network such as 10.0.0.0/8 or fd00:1::/32 "
            "(no address bits set behind the prefix)."
        ) from None
