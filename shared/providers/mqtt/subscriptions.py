"""What the broker's session is subscribed to, brought to what the config wants; and the gaps there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.provider import BrokerPlan, CredentialsRefused, drop_covered, find_overlap
from shared.providers.mqtt.certificates import watch_certificates
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.reason_codes import REFUSED_FROM, explain_filter
from shared.providers.mqtt.saved_state import Memory

ANSWER_SECONDS = 10.0


def settle_session(connection: Connection, plan: BrokerPlan, memory: Memory) -> bool:
    """Bring the broker's session to what `plan` wants, noting gaps; whether anything was subscribed to.

    Nothing is subscribed to again where the broker kept the session: it would send retained messages once more.
    CredentialsRefused where every topic is refused; a single refused one is noted and tried again next time.
    """
    if not connection.session_present:
        _begin_anew(memory)
    _warn_of_expiry(connection, plan, memory)
    _warn_of_overlap(plan, memory)
    if plan.broker.tls and connection.peer_certificate:
        watch_certificates(plan.broker.tls, connection.peer_certificate, memory, datetime.now(UTC))
    warn_of_risks(plan, memory)
    _tell_limits(plan, memory)
    granted, wanted = _subscribe(connection, plan, memory)
    # Last, so that nothing is missed where another filter takes over.
    removed = sorted(memory.subscribed.keys() - wanted)
    if removed:
        connection.unsubscribe(removed, ANSWER_SECONDS)
    _note_granted(granted, plan, memory)
    memory.subscribed = dict.fromkeys((name for name in plan.filters if name in wanted), plan.qos)
    memory.changed |= bool(removed or granted) or not memory.had_session
    memory.had_session = True
    return bool(granted)


def _subscribe(
    connection: Connection, plan: BrokerPlan, memory: Memory
) -> tuple[dict[str, int], frozenset[str]]:
    """Subscribe to what is not; what was granted or refused now, and the filters that are subscribed to and needed.

    A filter within a wider one is not needed unless that is refused: many brokers send a copy for each.
    """
    granted: dict[str, int] = {}
    while True:
        refused = {name for name, code in granted.items() if code >= REFUSED_FROM}
        wanted = drop_covered(name for name in plan.filters if name not in refused)
        added = {
            name: plan.qos
            for name in wanted
            if name not in granted and memory.subscribed.get(name) != plan.qos
        }
        if not added:
            return granted, frozenset(wanted)
        answers = connection.subscribe(added, ANSWER_SECONDS)
        granted |= {name: answers.get(name, REFUSED_FROM) for name in added}


def warn_of_risks(plan: BrokerPlan, memory: Memory) -> None:
    """Note once what no new config might have."""
    if plan.warnings:
        memory.tell_once("risks", " ".join(plan.warnings))
    else:
        memory.forget_told("risks")


def _tell_limits(plan: BrokerPlan, memory: Memory) -> None:
    """Note once each what the broker can't do; what holds no more would be told again."""
    names = {f"limit:{name}" for name in plan.limits}
    for told in [each for each in memory.told if each.startswith("limit:") and each not in names]:
        memory.forget_told(told)
    for name, words in plan.limits.items():
        memory.tell_once(f"limit:{name}", words)


def _begin_anew(memory: Memory) -> None:
    memory.window.forget()
    memory.unsettled = 0
    memory.subscribed = {}
    memory.changed = True
    if memory.had_session:
        memory.note(
            "warning",
            "The broker no longer knew this integration's session: it expired, or the broker was restarted without "
            "persistence. Messages sent since the last session may be lost.",
        )


def _warn_of_expiry(connection: Connection, plan: BrokerPlan, memory: Memory) -> None:
    if connection.expiry_seconds < plan.expiry_seconds:
        memory.tell_once(
            f"expiry:{connection.expiry_seconds}",
            f"The broker keeps this integration's session for {connection.expiry_seconds} s only, instead of "
            f"{plan.expiry_seconds} s; messages are lost when sessions are further apart.",
        )


def _warn_of_overlap(plan: BrokerPlan, memory: Memory) -> None:
    """Of filters of which none is within the other, nobody can tell a second copy from a second message."""
    overlap = find_overlap(drop_covered(plan.filters))
    if overlap:
        memory.tell_once(
            f"overlap:{overlap[0]}:{overlap[1]}",
            f"The topics {overlap[0]!r} and {overlap[1]!r} overlap: what is published where both listen, some brokers "
            "send twice, and it is stored twice. Write one topic that is wide enough for both, or narrower ones.",
        )


def _note_granted(granted: Mapping[str, int], plan: BrokerPlan, memory: Memory) -> None:
    refused = [explain_filter(name, code) for name, code in granted.items() if code >= REFUSED_FROM]
    if refused and len(refused) == len(plan.filters):
        raise CredentialsRefused(" ".join(refused))
    for words in refused:
        memory.note("error", words)
    lowered = ", ".join(repr(name) for name, code in granted.items() if code < plan.qos)
    if lowered:
        memory.note(
            "warning", f"The broker grants only QoS 0 for {lowered}: what is sent between sessions is lost."
        )
    if granted and plan.qos == 0:
        memory.note("warning", "The topics are subscribed with QoS 0: what is sent between sessions is lost.")
