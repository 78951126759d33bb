"""A Golioth of our own: a real HTTP server made from the facts known of its API, with what goes wrong on request."""

from __future__ import annotations

from tests.fakes.golioth.server import ApiError, Call, FakeGolioth, Fault, Reply, route

__all__ = ["ApiError", "Call", "FakeGolioth", "Fault", "Reply", "route"]
