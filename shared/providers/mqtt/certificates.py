"""When the certificates of a broker connection hold, told while there is time to replace them."""

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

    def find_warning(self, now: datetime) -> str | None:
        """That it does not hold yet or no more, or ends soon for one of its lifetime; None where all is well."""
        if now < self.begins:
            return f"{self.name} holds from {self.begins:%Y-%m-%d} on only; {self.remedy} that holds now."
        if self.ends <= now:
            return f"{self.name} ended on {self.ends:%Y-%m-%d}; {self.remedy}."
        if self.ends - now < min(WARN_BEFORE, (self.ends - self.begins) / WARN_IN_LAST):
            return f"{self.name} ends on {self.ends:%Y-%m-%d}; {self.remedy} before."
        return None


def watch_certificates(tls: Tls, peer: Mapping[str, object], memory: Memory, now: datetime) -> None:
    """Note what ends soon, once, and when it was replaced. `peer` is the broker's, as from `SSLSocket.getpeercert`."""
    for certificate in (_read_peer(peer), *_list_own(tls)):
        if warning := certificate.find_warning(now):
            memory.tell_once(certificate.alert, warning, alert=certificate.alert)
        elif memory.forget_told(certificate.alert):
            memory.note("info", f"{certificate.name} was replaced.", alert=certificate.alert)


def list_warnings(tls: Tls, now: datetime) -> list[str]:
    """What is to be said of the certificates in `tls` themselves, whatever the broker says of them."""
    return [warning for each in _list_own(tls) if (warning := each.find_warning(now))]


def _read_peer(peer: Mapping[str, object]) -> Certificate:
    return Certificate(
        "certificate.broker",
        "The broker's certificate",
        "have it renewed at the broker",
        _read_time(peer["notBefore"]),
        _read_time(peer["notAfter"]),
    )


def _list_own(tls: Tls) -> Iterator[Certificate]:
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
