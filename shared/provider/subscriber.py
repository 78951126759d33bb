"""Deliver: events that go out as one HTTP request each, which the provider describes and the dispatcher sends."""

from __future__ import annotations

from shared.provider.subscription import Subscription


class Subscriber(Subscription):
    """A provider that events go out to over HTTP; it has `deliver`."""
