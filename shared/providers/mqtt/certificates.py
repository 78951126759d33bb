"""When the certificates of a broker connection end, told while there is time to replace them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from shared.providers.mqtt.broker import Tls
from shared.providers.mqtt.saved_state import Memory

WARN_BEFORE = timedelta(days=14)
WARN_IN_LAST = 3
"""The part of its life, a third, in which one that lives short is not told yet: it is renewed by a program."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One whose end would end the connection; `alert` is the kind of the alert about it."""

    alert: str
    name: str
    remedy: str
    begins: datetime
    ends: datetime

    def is_ending(self, now: datetime) -> bool:
        """Whether it ends soon for one of its lifetime."""
        return self.ends - now < min(WARN_BEFORE, (self.ends - self.begins) / WARN_IN_LAST)


def watch_certificates(tls: Tls, peer: Mapping[str, object], memory: Memory, now: datetime) -> None:
    """Note what ends soon, once, and when it was replaced. `peer` is the broker's, as from `SSLSocket.getpeercert`."""
    for certificate in _list_certificates(tls, peer):
        if certificate.is_ending(now):
            memory.tell_once(
                certificate.alert,
                f"{certificate.name} ends on {certificate.ends:%Y-%m-%d}; {certificate.remedy} before.",
                alert=certificate.alert,
            )
        elif memory.forget_told(certificate.alert):
            memory.note("info", f"{certificate.name} was replaced.", alert=certificate.alert)


def _list_certificates(tls: Tls, peer: Mapping[str, object]) -> Iterator[Certificate]:
    yield Certificate(
        "certificate.broker",
        "The broker's certificate",
        "have it renewed at the broker",
        _read_time(peer["notBefore"]),
        _read_time(peer["notAfter"]),
    )
    if tls.client_certificate:
        own = x509.load_pem_x509_certificates(tls.client_certificate.encode())[0]
        yield Certificate(
            "certificate.client",
            "The client certificate",
            "set a new client_certificate and client_key",
            own.not_valid_before_utc,
            own.not_valid_after_utc,
        )
    if tls.ca_certificate:
        # Which of several the broker's is signed by is not known; while one is good for long, nothing is said.
        last = max(
            x509.load_pem_x509_certificates(tls.ca_certificate.encode()),
            key=lambda each: each.not_valid_after_utc,
        )
        yield Certificate(
            "certificate.ca",
            "The CA certificate",
            "set a new ca_certificate",
            last.not_valid_before_utc,
            last.not_valid_after_utc,
        )


def _read_time(text: object) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), UTC)
