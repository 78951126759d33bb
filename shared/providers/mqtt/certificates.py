"""When the certificates of a broker connection hold, told while there is time to replace them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from shared.provider import Tls
from shared.providers.mqtt.saved_state import Memory

STEPS = (0, 1, 7, 30)
"""Days before the end of a certificate at which it is told, 0 once it does not hold; from 1 on it is an error."""

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

    @property
    def of(self) -> str:
        """Whose it is, in one word."""
        return self.alert.rpartition(".")[2]

    def find_step(self, now: datetime) -> int | None:
        """Which of STEPS it has come to; None where all is well for one of its lifetime."""
        left = self.ends - now
        if now < self.begins or left <= timedelta(0):
            return 0
        if left >= min(timedelta(days=STEPS[-1]), (self.ends - self.begins) / WARN_IN_LAST):
            return None
        return next(days for days in STEPS if left <= timedelta(days=days))

    def find_warning(self, now: datetime) -> str | None:
        """That it does not hold yet or no more, or ends soon for one of its lifetime; None where all is well."""
        if now < self.begins:
            return f"{self.name} holds from {self.begins:%Y-%m-%d} on only; {self.remedy} that holds now."
        if self.ends <= now:
            return f"{self.name} ended on {self.ends:%Y-%m-%d}; {self.remedy}."
        if self.find_step(now) is not None:
            return f"{self.name} ends on {self.ends:%Y-%m-%d}; {self.remedy} before."
        return None


def watch_certificates(tls: Tls, peer: Mapping[str, object], memory: Memory, now: datetime) -> None:
    """Note what ends soon, once a step, and when it was replaced. `peer` is as from `SSLSocket.getpeercert`."""
    certificates = [_read_peer(peer), *_list_own(tls)]
    memory.keep_ends({each.of: int(each.ends.timestamp()) for each in certificates})
    for certificate in certificates:
        step = certificate.find_step(now)
        if step is not None and (warning := certificate.find_warning(now)):
            level = "error" if step <= 1 else None
            memory.tell_once(f"{certificate.alert}.{step}", warning, certificate.alert, level)
        elif sum(memory.forget_told(f"{certificate.alert}.{days}") for days in STEPS):
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
