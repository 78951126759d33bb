"""Which certificates are told to end soon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.provider import Note, Tls
from shared.providers.mqtt.certificates import watch_certificates
from shared.providers.mqtt.saved_state import Memory
from tests.fakes.certificates import PemAuthority

GOOD = {"notBefore": "Jan  1 00:00:00 2026 GMT", "notAfter": "Jan  1 00:00:00 2036 GMT"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOLD = Note(
    "warning",
    "The broker's certificate ends on 2026-06-10; have it renewed at the broker before.",
    "certificate.broker",
)


def watch(begins: str, ends: str, now: datetime = NOW) -> list[Note]:
    """What is told of a broker's certificate with these days."""
    memory = Memory("key", {})
    watch_certificates(Tls(), {"notBefore": begins, "notAfter": ends}, memory, now)
    return memory.take_notes()


@pytest.mark.parametrize(
    ("begins", "ends", "told"),
    [
        ("Jun 10 00:00:00 2025 GMT", "Jun 10 00:00:00 2026 GMT", [TOLD]),
        ("Jul 10 00:00:00 2025 GMT", "Jul 10 00:00:00 2026 GMT", []),
        ("May 30 00:00:00 2026 GMT", "Jun 10 00:00:00 2026 GMT", []),
        ("May 10 00:00:00 2026 GMT", "Jun 10 00:00:00 2026 GMT", [TOLD]),
    ],
    ids=["nine days of a year", "thirty-nine days of a year", "nine of eleven days", "nine days of a month"],
)
def test_one_is_told_in_its_last_thirty_days_or_third(begins: str, ends: str, told: list[Note]) -> None:
    assert watch(begins, ends) == told


def test_of_several_authorities_the_one_that_lasts_longest_counts() -> None:
    short, long = PemAuthority("Short", days=3), PemAuthority("Long")
    told = []
    for trusted in (short.pem, short.pem + long.pem):
        memory = Memory("key", {})
        watch_certificates(Tls(ca_certificate=trusted), GOOD, memory, datetime.now(UTC))
        told.append([note.alert for note in memory.take_notes()])

    assert told == [["certificate.ca"], []]


def test_what_was_replaced_is_told_again_when_it_ends() -> None:
    memory = Memory("key", {})
    ending = {"notBefore": "Jun 10 00:00:00 2025 GMT", "notAfter": "Jun 10 00:00:00 2026 GMT"}
    for peer in (ending, ending, GOOD, GOOD, ending):
        watch_certificates(Tls(), peer, memory, NOW + timedelta(hours=1))

    assert memory.take_notes() == [
        TOLD,
        Note("info", "The broker's certificate was replaced.", "certificate.broker"),
        TOLD,
    ]


def test_it_is_told_thirty_days_seven_days_and_one_day_before_its_end_and_after_it() -> None:
    memory = Memory("key", {})
    peer = {"notBefore": "Jun  1 00:00:00 2025 GMT", "notAfter": "Jun  1 00:00:00 2026 GMT"}
    told = []
    for days in (31, 29, 20, 6, 3, 1, 0.5, -1, -2):
        watch_certificates(Tls(), peer, memory, NOW - timedelta(days=days))
        told += [(days, note.alert_level) for note in memory.take_notes()]

    assert told == [(29, None), (6, None), (1, "error"), (-1, "error")]
