"""Send: a command published over a short connection beside the session."""

from __future__ import annotations

from contextlib import closing

from shared.provider import BrokerPlan, Deadline
from shared.providers.mqtt.login import log_in_aside
from shared.providers.mqtt.reason_codes import REFUSED_FROM, explain_publish

SEND_SECONDS = 10.0


def publish_once(plan: BrokerPlan, topic: str, body: bytes) -> None:
    """Publish with QoS 1 and wait for the broker to take it. OutsideError says why it did not."""
    deadline = Deadline(SEND_SECONDS)
    with closing(log_in_aside(plan, deadline)) as connection:
        code = connection.wait_published(connection.publish(topic, body), deadline.remaining())
    if code >= REFUSED_FROM:
        raise explain_publish(topic, code)
