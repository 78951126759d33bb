"""Deliver: events that go out as one HTTP request each, which the provider describes and the dispatcher sends."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from shared.provider.messages import Event
from shared.provider.subscription import Subscription
from shared.runtime.outbound import OutboundRequest


class Subscriber(Subscription):
    """A provider that events go out to over HTTP."""

    capability: ClassVar[str] = "deliver"
    lacking: ClassVar[str] = "delivery"

    @abstractmethod
    def deliver(self, event: Event) -> OutboundRequest:
        """Describe the outgoing request for `event`; the dispatcher sends it, judges the reply and tries again."""

    def find_gaps(self, payload: object) -> list[str] | None:  # noqa: ARG002 - for those that name parts of it
        """What the config names in an event's payload that is not there; None where it names nothing."""
        return None
