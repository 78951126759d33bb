"""Logging in with the version of MQTT the broker speaks: for the session, or beside it."""

from __future__ import annotations

import secrets

from shared.provider import BrokerPlan, Deadline, ProtocolUnsupported, TimedOut
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.paho_client import Login

FIRST_ANSWER_SECONDS = 2.0
SHORTEST_SECONDS = 0.5


def open_connection(plan: BrokerPlan, login: Login, protocol: int | None, timeout: float) -> Connection:
    """Connect with the version known to work, or with each of the plan's in turn. OutsideError says what failed.

    A broker that does not know MQTT 5 may refuse it, close, or (amqtt) wait for the rest of a packet it misreads;
    so while nothing is known, silence on the first version is taken as "not known".
    """
    deadline = Deadline(timeout)
    for version in _order_versions(plan, protocol):
        patience = deadline.remaining() if version == protocol else FIRST_ANSWER_SECONDS
        try:
            return _open(plan, login, version, min(deadline.remaining(), patience))
        except ProtocolUnsupported:
            continue
        except TimedOut:
            if version == protocol:
                raise
    return _open(plan, login, plan.protocols[-1], deadline.remaining())


def _order_versions(plan: BrokerPlan, known: int | None) -> list[int]:
    """What to try before the plan's last version, which is tried with all the time that is left."""
    first = [known] if known in plan.protocols else []
    return first + [version for version in plan.protocols[:-1] if version != known]


def _open(plan: BrokerPlan, login: Login, version: int, timeout: float) -> Connection:
    connection = Connection(plan.broker, login, version)
    try:
        connection.open(max(timeout, SHORTEST_SECONDS))
    except BaseException:
        connection.abort()
        raise
    return connection


def log_in_aside(plan: BrokerPlan, deadline: Deadline) -> Connection:
    """A connection with a client id of its own and a clean session: it never pushes the live session off the broker."""
    login = Login(f"{plan.client_id[:14]}-{secrets.token_hex(4)}", clean=True, owner=plan.owner)
    return open_connection(plan, login, None, deadline.remaining())
