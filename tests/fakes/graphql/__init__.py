"""A GraphQL API on a real socket: readings that are queried from a cursor on and subscribed to, and a mutation."""

from __future__ import annotations

from tests.fakes.graphql.server import FakeGraphql

__all__ = ["FakeGraphql"]
