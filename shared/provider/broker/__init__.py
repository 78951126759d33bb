"""The session with an MQTT broker, for every provider that has one; what costs time to import is imported when used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shared.provider.broker.plan import MQTT_3, MQTT_5, Broker, BrokerPlan
from shared.provider.broker.reason_codes import ProtocolUnsupported

if TYPE_CHECKING:
    from shared.provider.batch import Batch
    from shared.provider.check import Check
    from shared.runtime.deadline import Deadline

__all__ = ["MQTT_3", "MQTT_5", "Broker", "BrokerPlan", "ProtocolUnsupported"]


def poll_broker(plan: BrokerPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """One session that loses nothing, until `deadline`; see session.py beside this."""
    from shared.provider.broker.session import run_session

    return run_session(plan, state, deadline)


def check_broker(plan: BrokerPlan, deadline: Deadline | None = None) -> Iterator[Check]:
    """Resolve, connect, do TLS, log in, subscribe; with a client id of its own, beside a live session."""
    from shared.provider.broker.check import check_steps

    return check_steps(plan, deadline)


def publish_once(plan: BrokerPlan, topic: str, body: bytes) -> None:
    """Publish with QoS 1 over a short connection beside the session. OutsideError says why it was not taken."""
    from shared.provider.broker.send import publish

    publish(plan, topic, body)
