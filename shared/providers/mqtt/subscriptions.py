"""What the broker's session is subscribed to, brought to what the config wants; and the gaps there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.provider import CredentialsRefused
from shared.providers.mqtt.certificates import watch_certificates
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.plan import BrokerPlan
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
    if plan.broker.tls and connection.peer_certificate:
        watch_certificates(plan.broker.tls, connection.peer_certificate, memory, datetime.now(UTC))
    if plan.warnings:
        memory.tell_once("risks", " ".join(plan.warnings))
    else:
        memory.forget_told("risks")
    removed = sorted(memory.subscribed.keys() - set(plan.filters))
    if removed:
        connection.unsubscribe(removed, ANSWER_SECONDS)
    added = {name: plan.qos for name in plan.filters if memory.subscribed.get(name) != plan.qos}
    granted = connection.subscribe(added, ANSWER_SECONDS) if added else {}
    _note_granted(granted, plan, memory)
    refused = {name for name in added if granted.get(name, REFUSED_FROM) >= REFUSED_FROM}
    memory.subscribed = dict.fromkeys((name for name in plan.filters if name not in refused), plan.qos)
    memory.changed |= bool(removed or added) or not memory.had_session
    memory.had_session = True
    return bool(added)


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
